//! The commands of `ashlar stake tx`: one for each transaction of the ledger's [list](ashlar_restaking::transactions), made from it.

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, Args, Command, Subcommand};
use serde_json::{Value, json};

use super::forms::*;
use super::signer::Signer;
use super::statements::{RegisterDisperser, RegisterOperator, UpdateOperator};
use crate::error::CliResult;
use ashlar_restaking::Action;

/// The options of a transaction, and how they become one.
macro_rules! options {
    // Another key than the sender's signs a part of it: see `statements`.
    (by $hand:ident; $($rest:tt)*) => {};
    (; $name:ident { $($field:ident $options:tt)* }) => {
        options! { @ $name [] $($field $options)* }

        impl $name {
            fn action(self, _: &Signer<'_>) -> CliResult<Action> {
                Ok(Action::$name { $($field: self.$field.value()?),* })
            }
        }
    };
    // A field with an option of its own.
    (@ $name:ident [$($done:tt)*] $field:ident ($type:ty, [$($help:literal)*] [$($arg:tt)*] []) $($rest:tt)*) => {
        options! { @ $name [
            $($done)*
            #[arg(
                long,
                value_name = <$type as Form>::NAME,
                help = help::<$type>(stringify!($field), concat!($($help),*)),
                allow_hyphen_values = <$type as Form>::IS_TEXT,
                $($arg)*
            )]
            $field: $type,
        ] $($rest)* }
    };
    // One of several options.
    (@ $name:ident [$($done:tt)*] $field:ident ($type:ty, [$($help:literal)*] [] [$flatten:ident]) $($rest:tt)*) => {
        options! { @ $name [$($done)* #[command($flatten)] $field: $type,] $($rest)* }
    };
    (@ $name:ident [$($fields:tt)*]) => {
        #[derive(Clone, Debug, Args)]
        pub(super) struct $name { $($fields)* }
    };
}

/// Makes the commands of the list.
macro_rules! commands {
    ($state:ident, $sender:ident; $(
        $(#[doc = $doc:literal])+
        $text:literal $name:ident $(by $hand:ident)? {
            $(
                $(#[doc = $help:literal])*
                $(#[arg($($arg:tt)*)])?
                $(#[command($flatten:ident)])?
                $(#[serde($($serde:tt)*)])?
                $field:ident: $type:ty as $sol:ident $([$($list:tt)?])?
            ),* $(,)?
        }
        $group:ident $who:literal: $example:literal
        => $run:expr;
    )*) => {
        $(options! { $(by $hand)?; $name { $($field ($type, [$($help)*] [$($($arg)*)?] [$($flatten)?]))* } })*

        /// One command for each transaction.
        #[derive(Clone, Debug, Subcommand)]
        pub(super) enum Kind {
            $(
                $(#[doc = $doc])+
                #[command(
                    long_about = long_about(concat!($($doc),+), $who),
                    after_help = concat!("Example:\n  ashlar stake tx ", $example)
                )]
                $name(Box<$name>),
            )*
        }

        impl Kind {
            /// The action. Reads the files that are named, asks for passwords that it needs, and the ledger for what other keys than the
            /// sender's sign.
            ///
            /// # Errors
            /// A file cannot be read or is not what it should be, or the ledger does not answer.
            pub(super) fn action(self, signer: &Signer<'_>) -> CliResult<Action> {
                match self {
                    $(Self::$name(options) => options.action(signer),)*
                }
            }
        }

        /// What the list says beyond the options.
        const ENTRIES: &[Entry] = &[$(Entry {
            name: $text,
            group: stringify!($group),
            sender: $who,
            example: $example,
            fields: &[$(stringify!($field)),*],
        }),*];
    };
}

ashlar_restaking::transactions! { commands }

struct Entry {
    name: &'static str,
    group: &'static str,
    sender: &'static str,
    example: &'static str,
    fields: &'static [&'static str],
}

fn long_about(text: &str, sender: &str) -> String {
    let about = text.trim().trim_end_matches('.');
    format!("{about}\n\nSent by: {sender}")
}

/// Every kind as clap knows it, with what the list says beyond.
fn all() -> Vec<(&'static Entry, Command)> {
    let commands = Kind::augment_subcommands(Command::new("tx"));
    let commands: Vec<Command> = commands.get_subcommands().cloned().collect();
    ENTRIES.iter().zip(commands).collect()
}

fn about(command: &Command) -> String {
    command
        .get_about()
        .map_or_else(String::new, ToString::to_string)
}

fn help_of(arg: &Arg) -> String {
    arg.get_help().map_or_else(String::new, ToString::to_string)
}

fn value_name(arg: &Arg) -> &str {
    let names = arg.get_value_names().unwrap_or_default();
    names.first().map_or("", |name| name.as_str())
}

fn default(arg: &Arg) -> Option<String> {
    let values = arg.get_default_values();
    values
        .first()
        .map(|value| value.to_string_lossy().into_owned())
}

/// The place of an option in the action's JSON, with dots; empty if it only serves to make something that is there.
fn place<'a>(entry: &Entry, arg: &'a Arg) -> &'a str {
    let id = arg.get_id().as_str();
    let field = id.split('.').next().unwrap_or(id);
    match entry.fields.contains(&field) {
        true => id,
        false => "",
    }
}

/// Every kind with its options, for people.
pub(super) fn list() -> String {
    let mut out = String::new();
    let mut group = None;
    for (entry, command) in all() {
        if group != Some(entry.group) {
            if group.is_some() {
                out.push('\n');
            }
            out.push_str(&format!("{}\n", entry.group));
            group = Some(entry.group);
        }
        let (name, about) = (command.get_name(), about(&command));
        out.push_str(&format!(
            "  {name:<26}{about} (sent by: {})\n",
            entry.sender
        ));
        for arg in command.get_arguments() {
            let need = match default(arg) {
                Some(text) => format!(" (default {text})"),
                None if arg.is_required_set() => String::new(),
                None => " (optional)".to_owned(),
            };
            let name = format!(
                "--{} {}",
                arg.get_long().unwrap_or_default(),
                value_name(arg)
            );
            out.push_str(&format!("      {name:<38}  {}{need}\n", help_of(arg)));
        }
    }
    out
}

/// The same for scripts.
pub(super) fn list_json() -> Value {
    let field = |entry: &Entry, arg: &Arg| {
        let choices = arg.get_possible_values();
        let takes_value = arg.get_action().takes_values();
        json!({
            "option": arg.get_long(),
            "path": place(entry, arg),
            "value": value_name(arg),
            "choices": choices.iter().filter(|_| takes_value).map(PossibleValue::get_name).collect::<Vec<_>>(),
            "list": matches!(arg.get_action(), ArgAction::Append),
            "required": arg.is_required_set(),
            "default": default(arg),
            "help": help_of(arg),
        })
    };
    let kind = |(entry, command): &(&Entry, Command)| {
        let fields = command.get_arguments().map(|arg| field(entry, arg));
        json!({
            "type": entry.name,
            "command": command.get_name(),
            "group": entry.group,
            "sender": entry.sender,
            "about": about(command),
            "fields": fields.collect::<Vec<_>>(),
            "example": entry.example.split_once(' ').map_or("", |(_, options)| options),
        })
    };
    json!({ "kinds": all().iter().map(kind).collect::<Vec<_>>() })
}
