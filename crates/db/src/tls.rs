//! TLS to PostgreSQL, by the words that libpq has for it.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::DbError;

/// What is asked of the connection (`sslmode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// No TLS.
    Disable,
    /// TLS where the server has it.
    Prefer,
    /// TLS.
    Require,
    /// TLS with a server whose certificate a trusted authority signed.
    VerifyCa,
    /// The same, and the certificate is this host's.
    VerifyFull,
}

impl FromStr for Mode {
    type Err = DbError;

    fn from_str(word: &str) -> Result<Self, DbError> {
        Ok(match word {
            "disable" => Self::Disable,
            // libpq tries without TLS first; a server that takes both is then spoken to in the clear.
            "allow" | "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return Err(DbError::bug(format!("sslmode={word}: there is no such mode"))),
        })
    }
}

/// How the server's certificate is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checked {
    Nothing,
    Authority,
    AuthorityAndHost,
}

/// What a URL asks for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    /// The URL in the words that the driver knows.
    url: String,
    mode: Mode,
    authority: Option<PathBuf>,
}

impl Asked {
    /// Takes `sslmode` and `sslrootcert` out of a URL.
    fn of(url: &str) -> Result<Self, DbError> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut authority, mut rest) = (Mode::Prefer, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", word)) => mode = word.parse()?,
                Some(("sslrootcert", path)) => {
                    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
                    authority = Some(PathBuf::from(path.into_owned()));
                }
                _ => rest.push(pair),
            }
        }
        let known = match mode {
            Mode::Disable => "sslmode=disable",
            Mode::Prefer => "sslmode=prefer",
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => "sslmode=require",
        };
        rest.push(known);
        Ok(Self { url: format!("{base}?{}", rest.join("&")), mode, authority })
    }
}

/// The URL as the driver knows it, and how TLS is made for it.
pub(crate) fn of(
    url: &str,
    authority: Option<&Path>,
) -> Result<(String, Option<MakeRustlsConnect>), DbError> {
    let asked = Asked::of(url)?;
    let authority = asked.authority.as_deref().or(authority);
    let checked = match (asked.mode, authority) {
        (Mode::Disable, _) => return Ok((asked.url, None)),
        (Mode::VerifyFull, _) => Checked::AuthorityAndHost,
        (Mode::VerifyCa, _) | (Mode::Prefer | Mode::Require, Some(_)) => Checked::Authority,
        (Mode::Prefer | Mode::Require, None) => Checked::Nothing,
    };
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| DbError::bug(e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier(provider, checked, authority)?)
        .with_no_client_auth();
    Ok((asked.url, Some(MakeRustlsConnect::new(config))))
}

fn verifier(
    provider: Arc<CryptoProvider>,
    checked: Checked,
    authority: Option<&Path>,
) -> Result<Arc<dyn ServerCertVerifier>, DbError> {
    if checked == Checked::Nothing {
        return Ok(Arc::new(Unchecked(provider)));
    }
    let certificates = match authority {
        Some(path) => CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| DbError::bug(format!("{}: {e}", path.display())))?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    let checking =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(
            |e| DbError::bug(format!("no authority to check the database's certificate by: {e}")),
        )?;
    Ok(if checked == Checked::AuthorityAndHost { checking } else { Arc::new(AnyHost(checking)) })
}

/// Takes the certificate of any host that a trusted authority signed.
#[derive(Debug)]
struct AnyHost(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The name is looked at last: all else is in order then.
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Takes any certificate: what `prefer` and `require` promise is that nobody listens, not who answers.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    // Whose key it is is not known, so it is no matter that it is held.
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_url_are_those_of_libpq() {
        let check = |url: &str, mode: Mode, known: &str, authority: Option<&str>| {
            let asked = Asked::of(url).expect("a URL");
            assert_eq!(asked.mode, mode, "{url}");
            assert_eq!(asked.url, known, "{url}");
            assert_eq!(asked.authority, authority.map(PathBuf::from), "{url}");
        };
        check("postgres://h/d", Mode::Prefer, "postgres://h/d?sslmode=prefer", None);
        check("postgres://h/d?sslmode=allow", Mode::Prefer, "postgres://h/d?sslmode=prefer", None);
        check(
            "postgres://h/d?sslmode=disable",
            Mode::Disable,
            "postgres://h/d?sslmode=disable",
            None,
        );
        check(
            "postgres://h/d?sslmode=verify-full&application_name=x",
            Mode::VerifyFull,
            "postgres://h/d?application_name=x&sslmode=require",
            None,
        );
        check(
            "postgres://h/d?sslrootcert=%2Fetc%2Fca.pem&sslmode=verify-ca",
            Mode::VerifyCa,
            "postgres://h/d?sslmode=require",
            Some("/etc/ca.pem"),
        );
        assert!(Asked::of("postgres://h/d?sslmode=verify").is_err());
    }
}
