use super::*;

fn record(fields: &str) -> Submitted {
    let text = format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    Submitted { text, references: Vec::new() }
}

const A: &str = r#"{"name":"a","type":"int"}"#;
const A_B: &str = r#"{"name":"a","type":"int"},{"name":"b","type":"int","default":0}"#;

fn register(subject: &str, schema: Submitted) -> Command {
    Command::Register { subject: subject.into(), schema, chosen: Chosen::default() }
}

fn set_mode(subject: Option<&str>, mode: Mode, force: bool) -> Command {
    Command::SetMode { subject: subject.map(str::to_owned), mode: Some(mode), force }
}

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
        let command = register(subject, record(fields));
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
    assert_eq!(registry.versions("s", Scope::All), [2, 3], "in the place of the deleted one");
    registry.delete("s", false).unwrap();
    assert_eq!(registry.delete("s", true), Ok(Answer::Versions(vec![2, 3])));
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
    registry.run(Command::SetMode { subject: None, mode: Some(Mode::ReadOnly), force: false }).unwrap();
    assert_eq!(registry.register("s", A), Ok(1));
    assert_eq!(registry.register("s", A_B).unwrap_err().code(), 42205);
    assert_eq!(registry.delete("s", false).unwrap_err().code(), 42205);
    let subject = Some("s".to_owned());
    registry.run(Command::SetMode { subject, mode: Some(Mode::ReadWrite), force: false }).unwrap();
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
    registry.run(register("address", address)).unwrap();
    let reference = Reference { name: "q.Address".into(), subject: "address".into(), version: 0 };
    let order = Submitted {
        text: r#"{"type":"record","name":"shop.Order","fields":[{"name":"to","type":"q.Address"}]}"#.into(),
        references: vec![reference],
    };
    registry.run(register("order", order.clone())).unwrap();
    assert_eq!(registry.0.referenced_by("address", 1, Scope::Live), [2].into());
    assert_eq!(registry.0.schema(2).unwrap().references[0].version, 1, "-1 is pinned");
    assert_eq!(registry.delete("address", false).unwrap_err().code(), 42206);
    assert_eq!(registry.0.look_up("order", order, false).map(|found| found.id), Ok(2));
    registry.delete("order", false).unwrap();
    assert!(registry.delete("address", false).is_ok());
    assert_eq!(registry.0.referenced_by("address", 1, Scope::All), [2].into());
    assert_eq!(registry.delete("address", true).unwrap_err().code(), 42206, "old orders are still decoded");
    registry.delete("order", true).unwrap();
    assert!(registry.delete("address", true).is_ok());
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
            _ => register(&subject, record(&fields)),
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

#[test]
fn import_takes_ids_and_versions_as_they_are() {
    let mut registry = Registry::new();
    let import = |subject: &str, fields: &str, id: u32, version: u32| {
        let chosen = Chosen { id: Some(id), version: Some(version) };
        Command::Register { subject: subject.into(), schema: record(fields), chosen }
    };
    assert_eq!(registry.run(import("s", A, 40, 3)).unwrap_err().code(), 42205, "not in import mode");
    registry.register("other", A_B).unwrap();
    assert_eq!(registry.run(set_mode(None, Mode::Import, false)).unwrap_err().code(), 42205, "not empty");
    registry.run(set_mode(Some("s"), Mode::Import, false)).unwrap();
    assert_eq!(registry.run(import("s", A, 40, 3)), Ok(Answer::Id(40)));
    assert_eq!(registry.run(import("s", A, 40, 3)), Ok(Answer::Id(40)), "the same again");
    let incompatible = r#"{"name":"c","type":"int"}"#;
    assert_eq!(registry.run(import("s", incompatible, 40, 4)).unwrap_err().code(), 42205, "id taken");
    assert_eq!(registry.run(import("s", incompatible, 41, 3)).unwrap_err().code(), 42205, "version taken");
    assert_eq!(registry.run(import("s", incompatible, 41, 7)), Ok(Answer::Id(41)), "nothing is compared");
    assert_eq!(registry.register("s", "").unwrap_err().code(), 42205, "without an id");
    assert_eq!(registry.versions("s", Scope::Live), [3, 7]);
    registry.run(set_mode(Some("s"), Mode::ReadWrite, false)).unwrap();
    registry.run(set_mode(None, Mode::Import, true)).unwrap();
    registry.run(import("u", A_B, 12, 1)).unwrap();
    assert_eq!(registry.0.uses(12, Scope::Live), Ok(vec![("u", 1)]), "a second id for the schema of another");
    registry.run(set_mode(None, Mode::ReadWrite, false)).unwrap();
    assert_eq!(registry.register("t", r#"{"name":"new","type":"int"}"#), Ok(42));
    assert_eq!(registry.register("t", A_B).unwrap_err().code(), 409);
    assert_eq!(registry.register("v", A_B), Ok(1), "new subjects get the first id");
}

#[test]
fn a_version_may_be_chosen_if_it_is_the_next() {
    let mut registry = Registry::new();
    for (version, expect) in [(2, Err(42201)), (1, Ok(Answer::Id(1))), (1, Ok(Answer::Id(1)))] {
        let chosen = Chosen { id: None, version: Some(version) };
        let command = Command::Register { subject: "s".into(), schema: record(A), chosen };
        assert_eq!(registry.run(command).map_err(|e| e.code()), expect, "{version}");
    }
}

#[test]
fn read_only_for_all_goes_before_a_subjects_own_mode_and_settings_are_closed_too() {
    let mut registry = Registry::new();
    registry.run(set_mode(Some("s"), Mode::ReadWrite, false)).unwrap();
    registry.run(set_mode(None, Mode::ReadOnlyOverride, false)).unwrap();
    assert_eq!(registry.register("s", A).unwrap_err().code(), 42205);
    let level = |subject: Option<&str>| Command::SetLevel {
        subject: subject.map(str::to_owned),
        level: Some(Level::None),
    };
    assert_eq!(registry.run(level(Some("s"))).unwrap_err().code(), 42205);
    assert_eq!(registry.run(level(None)).unwrap_err().code(), 42205);
    registry.run(set_mode(None, Mode::ReadWrite, false)).unwrap();
    registry.run(level(Some("s"))).unwrap();
    registry.register("s", A).unwrap();
}

#[test]
fn names_that_mean_something_else_are_no_subjects() {
    let mut registry = Registry::new();
    for subject in ["", " ", ":.ctx:s", "__GLOBAL", "__EMPTY", "a\u{0}b", &"x".repeat(513)] {
        assert_eq!(registry.register(subject, A).unwrap_err().code(), 42208, "{subject:?}");
        let mode = registry.run(set_mode(Some(subject), Mode::ReadOnly, false));
        assert_eq!(mode.unwrap_err().code(), 42208, "{subject:?}");
    }
}

#[test]
fn with_its_last_version_a_subjects_settings_go() {
    let mut registry = Registry::new();
    registry.register("s", A).unwrap();
    registry.delete_version("s", 1, false).unwrap();
    let full = Command::SetLevel { subject: Some("s".into()), level: Some(Level::Full) };
    registry.run(full).unwrap();
    registry.delete_version("s", 1, true).unwrap();
    assert_eq!(registry.0.own_level("s").unwrap_err().code(), 40408);
}

#[test]
fn types_are_referred_to_over_several_levels_and_namespaces() {
    let mut registry = Registry::new();
    let mut add = |subject: &str, text: &str, refers: &[&str]| {
        let references = refers.iter().map(|name| Reference {
            name: (*name).to_owned(),
            subject: name.rsplit('.').next().unwrap().to_lowercase(),
            version: 1,
        });
        let schema = Submitted { text: text.into(), references: references.collect() };
        registry.run(register(subject, schema)).map(drop)
    };
    let country = r#"{"type":"enum","name":"Country","namespace":"geo.codes","symbols":["PL","FR"]}"#;
    add("country", country, &[]).unwrap();
    let address =
        r#"{"type":"record","name":"q.Address","fields":[{"name":"in","type":"geo.codes.Country"}]}"#;
    add("address", address, &["geo.codes.Country"]).unwrap();
    let person = r#"{"type":"record","name":"Person","namespace":"q","fields":[
        {"name":"home","type":"Address"},{"name":"born","type":["null","geo.codes.Country"],"default":null}]}"#;
    add("person", person, &["q.Address"]).unwrap();
    let missing = r#"{"type":"record","name":"q.B","fields":[{"name":"p","type":"q.Persona"}]}"#;
    assert_eq!(add("b", missing, &["q.Person"]).unwrap_err().code(), 42201);
    let country = registry.delete("country", false).unwrap_err();
    assert_eq!(country.code(), 42206, "{country}");
}
