#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(
    unreachable_pub,
    dead_code,
    reason = "the macro declares what a crate shows"
)]

use super::*;

crate::config! {
    "# A ferry.\n",
    /// All of it.
    pub struct Ferry {
        /// Where.
        pub listen: Listen,
        /// Tables.
        pub operators: TableSource,
    }

    /// Where.
    pub struct Listen {
        /// An address. Its sentence
        /// has two lines.
        pub health: OptionalAddress = OptionalAddress::default();
        /// How many.
        pub most: u64 = 7, within 1..=9;
        /// How few.
        pub least: u32 = 2, within 1..;
    }
}

impl Ferry {
    fn validate(&self) -> Result<(), ConfigError> {
        self.check_ranges()
    }

    fn start_at(&mut self, folder: &Path) {
        self.operators = std::mem::take(&mut self.operators).starting_at(folder);
    }
}

#[test]
fn an_example_says_every_key_once() {
    let example = Ferry::example();
    let begin = "# A ferry.\n\n[listen]\n# An address. Its sentence has two lines.\nhealth = \"\"\n# How many.\nmost = 7\n";
    assert!(example.starts_with(begin), "{example}");
    for key in ["\ntables = ", "\nhead_keys = ", "\nca = "] {
        assert_eq!(example.matches(key).count(), 1, "{example}");
    }
    assert_eq!(Ferry::parse(&example).unwrap(), Ferry::default());
}

#[test]
fn a_value_out_of_its_range_is_named_with_its_key() {
    for (text, told) in [
        (
            "most = 10",
            "configuration key listen.most: it is 10; it has to be 1 to 9",
        ),
        (
            "least = 0",
            "configuration key listen.least: it is 0; it has to be at least 1",
        ),
    ] {
        let config = Ferry::parse(&format!("[listen]\n{text}\n")).unwrap();
        assert_eq!(config.validate().unwrap_err().to_string(), told);
    }
}

#[test]
fn an_address_may_be_left_empty() {
    let address = |text: &str| Ferry::parse(&format!("[listen]\nhealth = \"{text}\"\n"));
    let some = address("127.0.0.1:7").unwrap();
    assert_eq!(some.listen.health.0, Some(([127, 0, 0, 1], 7).into()));
    assert_eq!(Ferry::parse(&some.to_toml().unwrap()).unwrap(), some);
    assert_eq!(address("").unwrap(), Ferry::default());
    assert_eq!(address("here").unwrap_err().code(), "config.parse");
}

#[test]
fn an_empty_path_names_nothing_wherever_it_starts() {
    let (mut some, mut none) = (PathBuf::from("a"), PathBuf::new());
    start_at(Path::new("/etc"), [&mut some, &mut none]);
    assert_eq!((some, none), ("/etc/a".into(), PathBuf::new()));
}
