//! HTTP clients for relays and dispersers: TLS without process-wide state, no redirects, every wait bounded.

use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::Coded;
use reqwest::Url;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use thiserror::Error;

/// Why a URL or a client is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "http", blame = Us)]
pub enum HttpError {
    /// Not a URL that can be asked.
    #[error("{url:?} is not a usable URL: {reason}")]
    #[coded(blame = Caller)]
    Url {
        /// The text.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS could not be set up, usually because the machine has no CA certificates.
    #[error("https cannot be used: {reason} (are the system's CA certificates installed?)")]
    Tls {
        /// What the TLS library says.
        reason: String,
    },
    /// The HTTP client could not be built.
    #[error("the HTTP client could not be built: {reason}")]
    Build {
        /// What the HTTP library says.
        reason: String,
    },
}

/// A checked base URL: `http` or `https`, with a host, without query and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// Checks a URL as people write it; a path in front of the API is allowed (`https://host/ashlar`).
    ///
    /// # Errors
    ///
    /// [`HttpError::Url`].
    pub fn parse(text: &str) -> Result<Self, HttpError> {
        let refuse = |reason: &str| HttpError::Url {
            url: text.to_owned(),
            reason: reason.to_owned(),
        };
        let mut url = Url::parse(text.trim()).map_err(|error| refuse(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("the scheme must be http or https"));
        }
        if !url.has_host() {
            return Err(refuse("there is no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse(
                "credentials do not belong into a URL: it is printed and logged",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("a base URL has no query and no fragment"));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }

    /// This URL with a path behind it; `path` starts without a slash.
    #[must_use]
    pub fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{path}"));
        url
    }

    /// Whether TLS is needed.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl std::fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// An HTTP client that follows no redirects (a relay could point anywhere) and needs no process-wide crypto provider.
///
/// With `https` false the machine's CA certificates are not touched, so that plain `http` works on a machine that has
/// none; `https` URLs then fail. `read_timeout` bounds the silence between two reads, not the whole answer.
///
/// # Errors
///
/// [`HttpError::Tls`] without CA certificates, [`HttpError::Build`].
pub fn client(
    https: bool,
    connect_timeout: Duration,
    read_timeout: Duration,
) -> Result<reqwest::Client, HttpError> {
    let tls = |reason: rustls::Error| HttpError::Tls {
        reason: reason.to_string(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls)?;
    let mut config = if https {
        builder
            .with_platform_verifier()
            .map_err(tls)?
            .with_no_client_auth()
    } else {
        builder
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(connect_timeout)
        .read_timeout(read_timeout)
        .pool_idle_timeout(Duration::from_secs(30))
        .user_agent(concat!("ashlar/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| HttpError::Build {
            reason: chain(&error),
        })
}

/// An error with all its causes in one line: reqwest's own text says "error sending request" and little more.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
