use super::*;

fn record(fields: &str) -> Submitted {
    let text = format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    Submitted { text, references: Vec::new() }
}

const A: &str = r#"{"name":"a","type":"int"}"#;
const A_B: &str = r#"{"name":"a","type":"int"},{"name":"b","type":"int","default":0}"#;

struct Registry(State);

impl Registry {
    fn new() -> Registry {
        Registry(State::default())
    }

    fn run(&mut self, command: Command) -> Result<Answer, Error> {
        let (answer, event) = self.0.decide(command)?;
        if let Some(event) = event {
            let line = serde_json::to_string(&event).unwrap();
            self.0.evolve(serde_json::from_str(&line).unwrap()).unwrap();
        }
        Ok(answer)
    }

    fn register(&mut self, subject: &str, fields: &str) -> Result<u32, Error> {
        let command = Command::Register { subject: subject.into(), schema: record(fields) };
        self.run(command).map(|answer| match answer {
            Answer::Id(id) => id,
            other => panic!("{other:?}"),
        })
    }

    fn delete(&mut self, subject: &str, permanent: bool) -> Result<Answer, Error> {
        self.run(Command::DeleteSubject { subject: subject.into(), permanent })
    }

    fn delete_version(&mut self, subject: &str, number: u32, permanent: bool) -> Result<Answer, Error> {
        let version = VersionId::Number(number);
        self.run(Command::DeleteVersion { subject: subject.into(), version, permanent })
    }

    fn versions(&self, subject: &str, scope: Scope) -> Vec<u32> {
        self.0.version_numbers(subject, scope).unwrap_or_default()
    }
}

#[test]
fn a_schema_has_one_id_under_all_subjects_and_a_version_under_each() {
    let mut registry = Registry::new();
    assert_eq!(registry.register("s", A), Ok(1));
    assert_eq!(registry.register("s", A), Ok(1));
    assert_eq!(registry.register("t", A), Ok(1));
    assert_eq!(registry.register("s", A_B), Ok(2));
    assert_eq!(registry.versions("s", Scope::Live), [1, 2]);
    assert_eq!(registry.0.uses(1, Scope::Live), Ok(vec![("s", 1), ("t", 1)]));
}

#[test]
fn ids_and_version_numbers_are_not_given_twice() {
    let mut registry = Registry::new();
    registry.register("s", A).unwrap();
    registry.delete_version("s", 1, false).unwrap();
    assert_eq!(registry.register("s", A_B), Ok(2));
    assert_eq!(registry.versions("s", Scope::Live), [2]);
    assert_eq!(registry.register("s", A), Ok(1), "the same schema again: its old id");
    assert_eq!(registry.versions("s", Scope::All), [1, 2, 3]);
    registry.delete("s", false).unwrap();
    assert_eq!(registry.delete("s", true), Ok(Answer::Versions(vec![1, 2, 3])));
    assert_eq!(registry.0.schema(1), Err(Error::SchemaIdNotFound { id: 1 }));
    assert_eq!(registry.register("s", A), Ok(3), "after permanent deletion: a new id");
}

#[test]
fn deleting_goes_softly_first() {
    let mut registry = Registry::new();
    registry.register("s", A).unwrap();
    registry.register("s", A_B).unwrap();
    assert_eq!(registry.delete("s", true).unwrap_err().code(), 40405);
    assert_eq!(registry.delete_version("s", 1, true).unwrap_err().code(), 40407);
    assert_eq!(registry.delete_version("s", 1, false), Ok(Answer::Version(1)));
    assert_eq!(registry.delete_version("s", 1, false).unwrap_err().code(), 40406);
    assert_eq!(registry.delete_version("s", 9, false).unwrap_err().code(), 40402);
    assert_eq!(registry.delete("s", false), Ok(Answer::Versions(vec![2])));
    assert_eq!(registry.delete("s", false).unwrap_err().code(), 40404);
    assert_eq!(registry.delete("unknown", false).unwrap_err().code(), 40401);
    assert_eq!(registry.versions("s", Scope::Live), [0; 0]);
    assert_eq!(registry.versions("s", Scope::OnlyDeleted), [1, 2]);
    assert!(registry.0.schema(1).is_ok(), "old records can still be read");
}

#[test]
fn a_read_only_registry_answers_what_it_has_and_takes_nothing_new() {
    let mut registry = Registry::new();
    registry.register("s", A).unwrap();
    registry.run(Command::SetMode { subject: None, mode: Some(Mode::ReadOnly) }).unwrap();
    assert_eq!(registry.register("s", A), Ok(1));
    assert_eq!(registry.register("s", A_B).unwrap_err().code(), 42205);
    assert_eq!(registry.delete("s", false).unwrap_err().code(), 42205);
    let subject = Some("s".to_owned());
    registry.run(Command::SetMode { subject, mode: Some(Mode::ReadWrite) }).unwrap();
    assert_eq!(registry.register("s", A_B), Ok(2));
}

#[test]
fn a_transitive_level_looks_at_every_version_and_the_others_at_the_latest() {
    for (level, accepted) in
        [(Level::Backward, true), (Level::BackwardTransitive, false), (Level::None, true)]
    {
        let mut registry = Registry::new();
        registry.register("s", A).unwrap();
        registry.register("s", A_B).unwrap();
        registry.run(Command::SetLevel { subject: Some("s".into()), level: Some(level) }).unwrap();
        let b = registry.register("s", r#"{"name":"b","type":"int"}"#);
        assert_eq!(b.is_ok(), accepted, "{level}: {b:?}");
    }
}

#[test]
fn a_version_that_is_referred_to_stays() {
    let mut registry = Registry::new();
    let address = Submitted {
        text: r#"{"type":"record","name":"q.Address","fields":[]}"#.into(),
        references: Vec::new(),
    };
    registry.run(Command::Register { subject: "address".into(), schema: address }).unwrap();
    let reference = Reference { name: "q.Address".into(), subject: "address".into(), version: 0 };
    let order = Submitted {
        text: r#"{"type":"record","name":"shop.Order","fields":[{"name":"to","type":"q.Address"}]}"#.into(),
        references: vec![reference],
    };
    registry.run(Command::Register { subject: "order".into(), schema: order.clone() }).unwrap();
    assert_eq!(registry.0.referenced_by("address", 1), [2]);
    assert_eq!(registry.0.schema(2).unwrap().references[0].version, 1, "-1 is pinned");
    assert_eq!(registry.delete("address", false).unwrap_err().code(), 42206);
    assert_eq!(registry.0.look_up("order", order, false).map(|found| found.id), Ok(2));
    registry.delete("order", false).unwrap();
    assert!(registry.delete("address", false).is_ok());
}

#[test]
fn the_journal_of_a_busy_registry_folds_to_the_same_state() {
    let mut registry = Registry::new();
    let mut events = Vec::new();
    for i in 0..40_u32 {
        let subject = format!("s{}", i % 5);
        let fields = format!(r#"{{"name":"f{i}","type":"int","default":0}}"#);
        let command = match i % 8 {
            6 => Command::DeleteSubject { subject, permanent: false },
            7 => Command::SetLevel { subject: Some(subject), level: Some(Level::None) },
            _ => Command::Register { subject, schema: record(&fields) },
        };
        if let Ok((_, Some(event))) = registry.0.decide(command) {
            events.push(event.clone());
            registry.0.evolve(event).unwrap();
        }
    }
    let mut folded = State::default();
    events.into_iter().for_each(|event| folded.evolve(event).unwrap());
    assert_eq!(folded, registry.0);
}

#[test]
fn versions_are_latest_or_a_positive_number() {
    assert_eq!(VersionId::parse("latest"), Ok(VersionId::Latest));
    assert_eq!(VersionId::parse("-1"), Ok(VersionId::Latest));
    assert_eq!(VersionId::parse("7"), Ok(VersionId::Number(7)));
    for bad in ["0", "-2", "abc", "", "1.0", "2147483648"] {
        assert_eq!(VersionId::parse(bad).unwrap_err().code(), 42202, "{bad}");
    }
}
