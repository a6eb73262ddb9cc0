//! Where a command writes: data to one place, remarks to another.

use std::io::Write;

use serde::Serialize;

use super::error::{CommandError, CommandResult, Exit};

/// The two places, and whether data is JSON.
pub struct Output<'a> {
    json: bool,
    data: &'a mut dyn Write,
    notes: &'a mut dyn Write,
}

impl<'a> Output<'a> {
    /// Writes data to `data` and remarks to `notes`.
    pub fn new(json: bool, data: &'a mut dyn Write, notes: &'a mut dyn Write) -> Self {
        Self { json, data, notes }
    }

    /// Whether data is JSON.
    pub fn json(&self) -> bool {
        self.json
    }

    /// The result: one JSON object in a line, or text for people.
    ///
    /// # Errors
    /// The output is closed.
    pub fn data<T: Serialize>(
        &mut self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> CommandResult {
        let mut line = if self.json {
            serde_json::to_string(value).map_err(|error| {
                CommandError::new(Exit::Failure, "output.json", "could not print the result")
                    .because(error.to_string())
            })?
        } else {
            text()
        };
        if !line.ends_with('\n') {
            line.push('\n');
        }
        match self
            .data
            .write_all(line.as_bytes())
            .and_then(|()| self.data.flush())
        {
            // A reader that went away (`| head`) has what it wanted.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(CommandError::io("could not write the result", &error)),
            Ok(()) => Ok(()),
        }
    }

    /// A remark. Nobody is hurt if it gets lost.
    pub fn note(&mut self, line: impl AsRef<str>) {
        if !self.json {
            let _ = writeln!(self.notes, "{}", line.as_ref());
            let _ = self.notes.flush();
        }
    }
}
