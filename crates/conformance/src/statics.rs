//! Static members.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode as Code;

use crate::Context;
use crate::client::{assigned, unique};
use crate::groups::{member, partitions, settle};
use crate::wait::until;

pub(crate) fn a_restarted_static_member_keeps_its_partitions(context: &Context) -> Result<()> {
    let (topic, group) = (context.topic(4)?, unique("group"));
    let named = |name| [("group.instance.id", name), ("session.timeout.ms", "30000")];
    let a = member(context, &group, &[&topic], &named("one"))?;
    let b = member(context, &group, &[&topic], &named("two"))?;
    settle(&[&a, &b], &[2, 2])?;
    let (own, others) = (partitions(&b, &topic)?, partitions(&a, &topic)?);
    drop(b); // a static member does not leave when it closes
    let b = member(context, &group, &[&topic], &named("two"))?;
    until("the partitions to be back", || Ok((assigned(&b)? == 2).then_some(())))?;
    ensure!(partitions(&b, &topic)? == own, "other partitions than before");
    assigned(&a)?;
    ensure!(partitions(&a, &topic)? == others, "the other member was disturbed");
    Ok(())
}

pub(crate) fn a_second_member_with_the_same_instance_fences_the_first(context: &Context) -> Result<()> {
    let (topic, group) = (context.topic(2)?, unique("group"));
    let named = [("group.instance.id", "same"), ("session.timeout.ms", "30000")];
    let first = member(context, &group, &[&topic], &named)?;
    settle(&[&first], &[2])?;
    let second = member(context, &group, &[&topic], &named)?;
    until("the first to be fenced", || {
        if let Some(Err(error)) = second.poll(Duration::from_millis(5))
            && error.rdkafka_error_code() == Some(Code::Fatal)
        {
            bail!("the second was fenced: {error}");
        }
        let _ = first.poll(Duration::from_millis(5)); // the fatal error is kept by the client
        Ok(first.client().fatal_error().map(|(code, _)| code))
    })
    .and_then(|code| {
        ensure!(code == Code::FencedInstanceId, "{code:?}");
        Ok(())
    })?;
    settle(&[&second], &[2])
}

pub(crate) fn a_dead_member_is_replaced_after_its_session(context: &Context) -> Result<()> {
    let (topic, group) = (context.topic(4)?, unique("group"));
    let a = member(context, &group, &[&topic], &[])?;
    let b =
        member(context, &group, &[&topic], &[("group.instance.id", "dies"), ("session.timeout.ms", "6000")])?;
    settle(&[&a, &b], &[2, 2])?;
    let started = Instant::now();
    drop(b); // no word of farewell, since it is static
    settle(&[&a], &[4])?;
    let took = started.elapsed();
    // Its session began with its last heartbeat, which a busy machine sends late.
    ensure!(took > Duration::from_secs(2), "replaced after {took:?}, before its session had ended");
    Ok(())
}
