//! Arbitrum's interface for DA providers: JSON-RPC 2.0 under `POST /arbitrum`, as Nitro calls it.
//!
//! Nitro reads errors by parts of their text, and by nothing else: `certificate validation failed` makes an empty batch, for ever. So that text
//! is said of what is [invalid](Failure::Invalid), and no other answer can contain it, whoever wrote the reason.

mod jwt;
mod uploads;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ashlar_crypto::Coded as _;
use ashlar_crypto::account::keccak256;
use ashlar_proto::wire::cut_text;
use ashlar_service::ApiError;
use ashlar_service::listener::Sender;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::commitment::{self, Commitment, GENERIC, from_hex};
use crate::core::now_ms;
use crate::failure::Failure;
use crate::op::Api;
use crate::server::ProxyError;

use jwt::Secret;
use uploads::{Start, Uploads};

/// Bytes of a sequencer's message before the certificate.
const HEADER: usize = 40;
/// The kind of preimage that a DA certificate has.
const PREIMAGE: &str = "3";
/// Longest text of an error, bytes.
const MAX_TEXT: usize = 500;

/// An empty batch takes the place of this one.
const DROP: &str = "certificate validation failed";
/// The next writer is asked, or L1.
const NEXT_WRITER: &str = "DA provider requests fallback to next writer";
/// The batch is made smaller.
const SMALLER: &str = "message too large for current DA backend";

/// What the handler has beside the API.
pub(crate) struct Arbitrum {
    secret: Option<Secret>,
    uploads: Mutex<Uploads>,
}

/// A call.
#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    id: Value,
    method: String,
    #[serde(default)]
    params: Vec<Value>,
}

/// An error of JSON-RPC.
struct Wrong {
    code: i32,
    text: String,
}

impl Wrong {
    fn params(text: impl std::fmt::Display) -> Self {
        Self {
            code: -32602,
            text: text.to_string(),
        }
    }
}

impl From<uploads::UploadError> for Wrong {
    fn from(error: uploads::UploadError) -> Self {
        match error {
            uploads::UploadError::TooLarge { .. } => Self {
                code: -32000,
                text: format!("{SMALLER}: {error}"),
            },
            error => Self {
                code: -32000,
                text: error.to_string(),
            },
        }
    }
}

impl Arbitrum {
    /// With the secret in a file, if there is one. Blocks.
    pub(crate) fn open(secret: &Path) -> Result<Self, ProxyError> {
        let secret = match secret.as_os_str().is_empty() {
            true => None,
            false => Some(Secret::read(secret)?),
        };
        Ok(Self {
            secret,
            uploads: Mutex::default(),
        })
    }

    fn uploads(&self) -> MutexGuard<'_, Uploads> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A failure as Nitro has to hear it.
fn told(failure: &Failure) -> Wrong {
    let about = cut_text(&failure.to_string(), MAX_TEXT);
    let about = match [DROP, NEXT_WRITER, SMALLER]
        .iter()
        .any(|says| about.contains(says))
    {
        // Somebody else wrote it.
        true => failure.code().to_owned(),
        false => format!("{about} [{}]", failure.code()),
    };
    let text = match failure {
        Failure::Invalid { .. } => format!("{DROP}: {about}"),
        Failure::TooLarge { .. } => format!("{SMALLER}: {about}"),
        _ => about,
    };
    Wrong { code: -32000, text }
}

/// The parameters of a call, in their order.
struct Params(std::vec::IntoIter<Value>);

impl Params {
    fn text(&mut self, what: &str) -> Result<String, Wrong> {
        match self.0.next() {
            Some(Value::String(text)) => Ok(text),
            got => Err(Wrong::params(format!(
                "{what}: expected a text, got {got:?}"
            ))),
        }
    }

    /// Bytes in hexadecimal.
    fn bytes(&mut self, what: &str) -> Result<Bytes, Wrong> {
        let text = self.text(what)?;
        let bytes =
            from_hex(&text).map_err(|_| Wrong::params(format!("{what}: no hexadecimal bytes")))?;
        Ok(bytes.into())
    }

    /// A number in hexadecimal.
    fn number(&mut self, what: &str) -> Result<u64, Wrong> {
        let text = self.text(what)?;
        let digits = text.strip_prefix("0x");
        let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        number.ok_or_else(|| Wrong::params(format!("{what}: {text:?} is no hexadecimal quantity")))
    }
}

impl Api {
    async fn store(&self, message: Bytes) -> Result<Value, Wrong> {
        let done = async {
            self.core.may_write()?;
            let _place = self.core.place_to_put().await?;
            self.core.put(message).await
        };
        let done = done.await;
        self.core.count("arbitrum", "put", &done);
        let after = self.core.config.arbitrum.fallback_after;
        match done {
            Ok(certificate) => {
                let commitment = commitment::generic(&certificate.certificate().to_bytes());
                Ok(json!({ "serialized-da-cert": hex(&commitment) }))
            }
            Err(failure) => {
                let mut wrong = told(&failure);
                if after > 0 && failure.is_the_layers() && self.core.failures() >= after {
                    wrong.text = format!("{NEXT_WRITER}: {}", wrong.text);
                }
                Err(wrong)
            }
        }
    }

    /// The certificate of a sequencer's message, with its payload.
    async fn recover(&self, params: &mut Params) -> Result<(Bytes, Bytes), Wrong> {
        let (_batch, _block) = (params.text("batchNum")?, params.text("batchBlockHash")?);
        let message = params.bytes("sequencerMsg")?;
        if message.len() < HEADER {
            return Err(Wrong::params("sequencerMsg ends before its certificate"));
        }
        let named = message.slice(HEADER..);
        let done = async {
            match Commitment::read(&named)? {
                Commitment::Certificate(certificate) => {
                    let _place = self.core.place_to_get().await?;
                    Ok(self.core.get(certificate, None).await?.payload)
                }
                Commitment::Keccak(_) => Err(Failure::Request {
                    code: "proxy.keccak",
                    reason: "a hash is no certificate".to_owned(),
                }),
            }
        };
        let done = done.await;
        self.core.count("arbitrum", "get", &done);
        let payload = done.map_err(|failure| told(&failure))?;
        Ok((named, payload))
    }

    async fn answer(&self, arbitrum: &Arbitrum, call: Call) -> Result<Value, Wrong> {
        let mut params = Params(call.params.into_iter());
        let unknown = || Wrong {
            code: -32601,
            text: format!("the method {} does not exist", cut_text(&call.method, 80)),
        };
        let max = self.core.config.put.max_payload;
        match call
            .method
            .strip_prefix("daprovider_")
            .ok_or_else(unknown)?
        {
            "getSupportedHeaderBytes" => Ok(json!({ "headerBytes": hex(&[GENERIC]) })),
            "getMaxMessageSize" => Ok(json!({ "maxSize": max })),
            "store" => {
                let message = params.bytes("message")?;
                let _timeout = params.number("timeout")?;
                self.store(message).await
            }
            "recoverPayload" => {
                let (_, payload) = self.recover(&mut params).await?;
                Ok(json!({ "Payload": STANDARD.encode(&payload) }))
            }
            "collectPreimages" => {
                let (named, payload) = self.recover(&mut params).await?;
                Ok(json!({ "Preimages": preimages(&named, &payload) }))
            }
            "recoverPayloadAndPreimages" => {
                let (named, payload) = self.recover(&mut params).await?;
                let preimages = preimages(&named, &payload);
                Ok(json!({ "Payload": STANDARD.encode(&payload), "Preimages": preimages }))
            }
            "startChunkedStore" => {
                let start = Start {
                    timestamp: params.number("timestamp")?,
                    chunks: params.number("nChunks")?,
                    chunk_size: params.number("chunkSize")?,
                    total_size: params.number("totalSize")?,
                    timeout: params.number("timeout")?,
                };
                self.core.may_write().map_err(|failure| told(&failure))?;
                let now = now_ms().map_err(|failure| told(&failure))?;
                let sig = params.bytes("sig")?;
                let mut uploads = arbitrum.uploads();
                let id = uploads.start(start, &sig, max, now / 1000, Instant::now().into_std())?;
                Ok(json!({ "BatchId": format!("{id:#x}") }))
            }
            "sendChunk" => {
                let (id, chunk) = (params.number("messageId")?, params.number("chunkId")?);
                let (bytes, sig) = (params.bytes("chunk")?, params.bytes("sig")?);
                let now = Instant::now().into_std();
                arbitrum.uploads().chunk(id, chunk, bytes, &sig, now)?;
                Ok(Value::Null)
            }
            "commitChunkedStore" => {
                let (id, sig) = (params.number("messageId")?, params.bytes("sig")?);
                let now = Instant::now().into_std();
                let message = arbitrum.uploads().whole(id, &sig, now)?;
                let stored = self.store(message).await?;
                // Until here the same commit may be sent again.
                arbitrum.uploads().done(id);
                Ok(stored)
            }
            "generateReadPreimageProof" | "generateCertificateValidityProof" => Err(Wrong {
                code: -32000,
                text: "unimplemented: this version makes no proofs for the contract on L1"
                    .to_owned(),
            }),
            _ => Err(unknown()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn preimages(certificate: &[u8], payload: &[u8]) -> Value {
    let name = hex(&keccak256(certificate));
    json!({ PREIMAGE: { name: STANDARD.encode(payload) } })
}

/// Calls of Nitro.
pub(crate) async fn call(
    State((api, arbitrum)): State<(Arc<Api>, Arc<Arbitrum>)>,
    Extension(sender): Extension<Sender>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    if let Some(secret) = &arbitrum.secret {
        let token = headers.get(header::AUTHORIZATION);
        let signed = |token: &HeaderValue| {
            now_ms().is_ok_and(|now| secret.has_signed(token.as_bytes(), now / 1000))
        };
        if !token.is_some_and(signed) {
            let detail =
                "the call is not signed with the secret of arbitrum.jwt_secret, or not now";
            return Err(ApiError::new(401, "arbitrum.jwt", detail));
        }
    }
    let max = api.core.config.max_body();
    let body = api.body(sender, &headers, body, max).await?;
    let call: Call = match serde_json::from_slice(&body) {
        Ok(call) => call,
        Err(error) => {
            let error = json!({ "code": -32600, "message": error.to_string() });
            return Ok(Json(
                json!({ "jsonrpc": "2.0", "id": null, "error": error }),
            ));
        }
    };
    drop(body);
    let id = call.id.clone();
    Ok(Json(match api.answer(&arbitrum, call).await {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(Wrong { code, text }) => {
            let error = json!({ "code": code, "message": text });
            json!({ "jsonrpc": "2.0", "id": id, "error": error })
        }
    }))
}
