//! The end of a transaction whose connection breaks is sent again by the client; the first copy may arrive late, when the
//! producer's next transaction is open. The broker refuses it then, as the producer was built anew.

mod proxy;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use quadrille_kafka::group::{Member, Membership, Owner};
use quadrille_kafka::transaction::Transactor;
use quadrille_kafka::{Partition, Settings};
use quadrille_tests::clients::{Isolation, PATIENCE, create_topics, read_to_end};
use quadrille_tests::wait::eventually;
use quadrille_tests::{Cluster, Promise, promise};
use quadrille_types::OutRecord;

use proxy::Proxy;

/// `INVALID_PRODUCER_EPOCH` and `PRODUCER_FENCED`.
const OF_ANOTHER_EPOCH: [i16; 2] = [47, 90];

pub(crate) fn promises() -> Vec<Promise> {
    vec![promise!(on_broker, a_late_copy_of_a_commit_is_refused)]
}

struct Nobody;

impl Owner for Nobody {
    fn assigned(&self, _: Vec<Partition>) {}

    fn revoked(&self, _: Vec<Partition>, _: bool, _: &Membership<'_>) {}
}

fn a_late_copy_of_a_commit_is_refused(cluster: &Cluster) -> Result<()> {
    let (input, output, group) = (cluster.unique("in"), cluster.unique("out"), cluster.unique("group"));
    create_topics(cluster, &[(&input, 1), (&output, 1)])?;
    let direct = Settings::new(cluster.bootstrap(), [])?;
    let member = Member::join(&direct, &group, None, &[&input], &Arc::new(Nobody), || {})?;
    eventually(PATIENCE, "the member has its partition", || {
        // There are no first positions, so there is nothing to read.
        let _ = member.poll();
        ensure!(!member.assignment().is_empty(), "it has none");
        Ok(())
    })?;

    let proxy = Proxy::start(cluster.bootstrap())?;
    let mut transactor = Transactor::new(&Settings::new(proxy.address(), [])?, cluster.unique("txn"))?;
    let mut burst = |number: i64| {
        let record = OutRecord {
            topic: output.clone(),
            partition: 0,
            key: Some(b"k".to_vec()),
            value: Some(number.to_string().into_bytes()),
            headers: Vec::new(),
        };
        let offsets = BTreeMap::from([(Partition::new(input.clone(), 0), number)]);
        transactor.burst(&[record], &offsets, &member.membership())
    };
    burst(1).context("before")?;
    proxy.break_off_the_next_commit();
    let began = Instant::now();
    burst(2).context("with a connection that breaks")?;
    println!("sent twice, and done after {:?}", began.elapsed());
    burst(3).context("with a late copy")?;
    let answer = proxy.late_answer(Duration::from_secs(60))?;
    ensure!(OF_ANOTHER_EPOCH.contains(&answer), "the late copy was answered with {answer}");
    burst(4).context("after")?;

    let found = read_to_end(cluster, &output, Isolation::ReadCommitted)?;
    let found: Vec<_> = found.iter().map(|record| record.value.as_str()).collect();
    ensure!(found == ["1", "2", "3", "4"], "{found:?}");
    Ok(())
}
