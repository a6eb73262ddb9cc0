//! A parser for server-sent events (WHATWG HTML, section 9.2), fed with bytes as they arrive, with bounded memory.

use ashlar_crypto::Coded;
use thiserror::Error;

/// Most bytes of one event, its line ends included. The disperser's events are a status document of a few hundred bytes.
pub const MAX_EVENT_BYTES: usize = 64 << 10;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its type, `message` if the server named none.
    pub name: String,
    /// Its data; several data lines are joined by line feeds.
    pub data: String,
    /// The last id that the server sent, on this event or before.
    pub id: String,
}

/// Why a stream of events is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "sse", blame = Peer)]
pub enum SseError {
    /// An event that does not end.
    #[error("an event of the server is larger than {MAX_EVENT_BYTES} bytes")]
    TooLarge,
    /// Bytes that are no text.
    #[error("an event of the server is not UTF-8")]
    NotText,
}

/// The parser. Feed it; take events until there is none.
#[derive(Debug, Default)]
pub struct Parser {
    /// Bytes of the line that has not ended.
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed that follows belongs to it.
    after_return: bool,
    started: bool,
    name: String,
    data: Option<String>,
    id: String,
    size: usize,
    retry_ms: Option<u64>,
}

impl Parser {
    /// A parser at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Milliseconds after which the server wants a broken stream to be asked for again, if it said so.
    #[must_use]
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// Takes the next bytes and returns the events that they complete.
    ///
    /// # Errors
    ///
    /// [`SseError`]; the stream is of no use after that.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Event>, SseError> {
        let mut events = Vec::new();
        for &byte in bytes {
            let after_return = std::mem::replace(&mut self.after_return, false);
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    events.extend(self.end_line(&line)?);
                }
                _ => {
                    self.size += 1;
                    if self.size > MAX_EVENT_BYTES {
                        return Err(SseError::TooLarge);
                    }
                    self.line.push(byte);
                }
            }
        }
        Ok(events)
    }

    fn end_line(&mut self, line: &[u8]) -> Result<Option<Event>, SseError> {
        let mut line = std::str::from_utf8(line).map_err(|_| SseError::NotText)?;
        if !std::mem::replace(&mut self.started, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            self.size = 0;
            let name = std::mem::take(&mut self.name);
            return Ok(self.data.take().map(|data| Event {
                name: if name.is_empty() {
                    "message".to_owned()
                } else {
                    name
                },
                data,
                id: self.id.clone(),
            }));
        }
        // An empty field name is a comment: servers send them to keep the connection alive, and they count for no event.
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => self.size = self.size.saturating_sub(line.len()),
            "event" => value.clone_into(&mut self.name),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry_ms = value.parse().ok();
            }
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
