//! The subcommands of `tx`: one for each kind, made from the table in [`kinds`](super::kinds).

use std::path::Path;

use ashlar_crypto::bls::SecretKey;
use ashlar_crypto::identity::NetworkKey;
use ashlar_proto::operator_id;
use ashlar_proto::registration::{DisperserStatement, OperatorStatement};
use ashlar_restaking::Action;
use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches, Subcommand};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::error::{CommandError, CommandResult, Exit};
use super::kinds::{Field, Kind, Need, kinds};
use super::tx::Signer;
use super::value::FieldKind;
use super::{files, keys};

/// A kind, and what was written after its options.
#[derive(Clone, Debug)]
pub struct KindArgs {
    kind: &'static Kind,
    values: Vec<(&'static Field, Vec<String>)>,
}

impl KindArgs {
    /// Which kind.
    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// The action. Reads the files that are named, asks for passwords that it needs, and the ledger for what other keys than the
    /// sender's sign.
    ///
    /// # Errors
    /// A file cannot be read or is not what it should be, or the values do not make an action.
    pub fn action(&self, signer: &Signer<'_>) -> CommandResult<Action> {
        let mut object = Map::new();
        object.insert("type".to_owned(), json!(self.kind.name));
        for (field, texts) in &self.values {
            match (field.kind, texts.first()) {
                (FieldKind::Flag, _) => place(&mut object, field.path, json!(!texts.is_empty())),
                (kind, _) if kind.is_list() => {
                    let list = texts
                        .iter()
                        .map(|text| kind.to_json(field.option, text))
                        .collect::<Result<Vec<_>, _>>()?;
                    place(&mut object, field.path, Value::Array(list));
                }
                (kind, Some(text)) if kind.is_placed() => {
                    place(&mut object, field.path, kind.to_json(field.option, text)?);
                }
                _ => {}
            }
        }
        if let Some(file) = self.text(FieldKind::BlsKeystore) {
            let key = keys::open_bls(Path::new(file), &self.password("Password of the BLS key")?)?;
            let sequence = self.text(FieldKind::Sequence);
            let sequence = sequence.and_then(|text| text.parse().ok());
            operator_statement(&key, sequence, signer, &mut object)?;
        }
        if let Some(file) = self.text(FieldKind::NetworkSecret) {
            let password = self.password("Password of the network key")?;
            let key = keys::open_network(Path::new(file), &password)?;
            disperser_statement(&key, signer, &mut object)?;
        }
        decode(Value::Object(object))
    }

    /// What was written after the option of this kind.
    fn text(&self, kind: FieldKind) -> Option<&str> {
        self.values
            .iter()
            .find(|(field, _)| field.kind == kind)
            .and_then(|(_, texts)| texts.first())
            .map(String::as_str)
    }

    fn password(&self, what: &str) -> CommandResult<Zeroizing<String>> {
        files::password(
            self.text(FieldKind::PasswordFile).map(Path::new),
            what,
            false,
        )
    }
}

/// What an operator's BLS key says when it registers, or changes its network key or address. What is not named stays as it is.
fn operator_statement(
    key: &SecretKey,
    sequence: Option<u64>,
    signer: &Signer<'_>,
    object: &mut Map<String, Value>,
) -> CommandResult {
    let public = key.public_key().to_bytes();
    let named = ["network_key", "address"].map(|field| object.contains_key(field));
    let sequence = if object.get("type") == Some(&json!("register_operator")) {
        place(object, "bls_public_key", json!(public));
        place(
            object,
            "proof_of_possession",
            json!(key.prove_possession().to_bytes()),
        );
        0
    } else if let (Some(sequence), [true, true]) = (sequence, named) {
        sequence
    } else {
        let now = signer.operator(operator_id(&public))?;
        object
            .entry("network_key")
            .or_insert_with(|| json!(now.network_key));
        object
            .entry("address")
            .or_insert_with(|| json!(now.address));
        sequence.unwrap_or(now.sequence.saturating_add(1))
    };
    let statement = OperatorStatement {
        network: signer.network()?,
        account: signer.account()?,
        network_key: read(object, "network_key")?,
        address: read(object, "address")?,
        sequence,
    };
    place(object, "statement", json!(statement.sign(key)));
    Ok(())
}

/// What a disperser's network key says when it registers.
fn disperser_statement(
    key: &NetworkKey,
    signer: &Signer<'_>,
    object: &mut Map<String, Value>,
) -> CommandResult {
    let statement = DisperserStatement {
        domain: signer.network()?.domain(read(object, "service")?),
        account: signer.account()?,
        network_key: key.public(),
    };
    place(object, "network_key", json!(key.public()));
    place(object, "statement", json!(statement.sign(key)));
    Ok(())
}

/// A field that was placed before.
fn read<T: DeserializeOwned>(object: &Map<String, Value>, field: &str) -> CommandResult<T> {
    let value = object.get(field).cloned().unwrap_or(Value::Null);
    serde_json::from_value(value).map_err(|error| {
        CommandError::new(
            Exit::Usage,
            "tx.action",
            format!("the {field} is missing or none"),
        )
        .because(error.to_string())
    })
}

/// An action out of its JSON.
///
/// # Errors
/// It is none.
pub fn decode(value: Value) -> CommandResult<Action> {
    let name = value
        .get("type")
        .and_then(Value::as_str)
        .map(|name| name.chars().take(40).collect::<String>());
    serde_json::from_value(value).map_err(|error| {
        let what = match &name {
            Some(name) => format!("this is no {name} action"),
            None => "this is no action: it has no \"type\"".to_owned(),
        };
        CommandError::new(Exit::Usage, "tx.action", what)
            .because(error.to_string())
            .next("see each kind with its fields: ashlar stake tx --list")
    })
}

/// Puts a value at a place with dots.
fn place(object: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            object.insert(path.to_owned(), value);
        }
        Some((head, rest)) => {
            let inner = object
                .entry(head.to_owned())
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                place(inner, rest, value);
            }
        }
    }
}

fn option(field: &'static Field) -> Arg {
    let kind = field.kind;
    let help = match kind {
        FieldKind::Tokens => format!("{}: 1.5eth, 20gwei, or base units", field.help),
        FieldKind::Part => format!("{}: 50% or 0.5", field.help),
        FieldKind::Bps(_) => format!("{}: 250 or 2.5%", field.help),
        _ => field.help.to_owned(),
    };
    let arg = Arg::new(field.option).long(field.option).help(help);
    if kind == FieldKind::Flag {
        return arg.action(ArgAction::SetTrue);
    }
    let arg = arg
        .value_name(kind.value_name())
        .allow_hyphen_values(matches!(kind, FieldKind::Text | FieldKind::TextOrFile))
        .required(field.need == Need::Required)
        .action(if kind.is_list() {
            ArgAction::Append
        } else {
            ArgAction::Set
        });
    let arg = if kind.choices().is_empty() {
        arg.value_parser(ValueParser::new(move |text: &str| {
            kind.check(text).map(|()| text.to_owned())
        }))
    } else {
        arg.value_parser(clap::builder::PossibleValuesParser::new(kind.choices()))
    };
    match field.need {
        Need::Default(text) => arg.default_value(text),
        _ => arg,
    }
}

fn command(kind: &'static Kind) -> Command {
    let example = format!("  ashlar stake tx {} {}", kind.command(), kind.example);
    Command::new(kind.command())
        .about(kind.about)
        .long_about(format!("{}\n\nSent by: {}", kind.about, kind.who))
        .after_help(format!("Example:\n{}", example.trim_end()))
        .args(kind.fields.iter().map(option))
}

impl Subcommand for KindArgs {
    fn augment_subcommands(command_line: Command) -> Command {
        command_line.subcommands(kinds().map(command))
    }

    fn augment_subcommands_for_update(command_line: Command) -> Command {
        Self::augment_subcommands(command_line)
    }

    fn has_subcommand(name: &str) -> bool {
        kinds().any(|kind| kind.command() == name)
    }
}

impl FromArgMatches for KindArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let missing = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        let kind = kinds()
            .find(|kind| kind.command() == name)
            .ok_or_else(missing)?;
        let values = kind
            .fields
            .iter()
            .map(|field| {
                let texts = if field.kind == FieldKind::Flag {
                    matches
                        .get_flag(field.option)
                        .then(|| "true".to_owned())
                        .into_iter()
                        .collect()
                } else {
                    matches
                        .get_many::<String>(field.option)
                        .into_iter()
                        .flatten()
                        .cloned()
                        .collect()
                };
                (field, texts)
            })
            .collect();
        Ok(Self { kind, values })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Every kind with its options, for people.
pub fn list() -> String {
    let mut out = String::new();
    let mut group = None;
    for kind in kinds() {
        if group != Some(kind.group) {
            if group.is_some() {
                out.push('\n');
            }
            out.push_str(&format!("{}\n", kind.group.name()));
            group = Some(kind.group);
        }
        out.push_str(&format!(
            "  {:<26}{} (sent by: {})\n",
            kind.command(),
            kind.about,
            kind.who
        ));
        for field in kind.fields {
            let (value, need) = (
                field.kind.value_name(),
                match field.need {
                    Need::Required => String::new(),
                    Need::Optional => " (optional)".to_owned(),
                    Need::Default(text) => format!(" (default {text})"),
                },
            );
            let name = format!("--{} {value}", field.option);
            out.push_str(&format!("      {name:<38}  {}{need}\n", field.help));
        }
    }
    out
}

/// The same for scripts.
pub fn list_json() -> Value {
    let fields = |kind: &Kind| -> Vec<Value> {
        kind.fields
            .iter()
            .map(|field| {
                json!({
                    "option": field.option,
                    "path": field.path,
                    "value": field.kind.value_name(),
                    "choices": field.kind.choices(),
                    "list": field.kind.is_list(),
                    "required": field.need == Need::Required,
                    "default": match field.need { Need::Default(text) => Some(text), _ => None },
                    "help": field.help,
                })
            })
            .collect()
    };
    let all: Vec<Value> = kinds()
        .map(|kind| {
            json!({
                "type": kind.name,
                "command": kind.command(),
                "group": kind.group.name(),
                "sender": kind.who,
                "about": kind.about,
                "fields": fields(kind),
                "example": kind.example,
            })
        })
        .collect();
    json!({ "kinds": all })
}
