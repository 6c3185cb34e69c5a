//! How connections to PostgreSQL are encrypted.

use chatwarden_db::{Ambient, Db, DbError, Options, PostgresOptions, Tx};
use chatwarden_testkit::services::{Durability, Postgres};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::ENCRYPTED;

/// Certificates of an authority of one's own, and a server's for `localhost`.
struct Authority {
    folder: tempfile::TempDir,
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).expect("a certificate");
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().expect("a key");
        let server = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        let server = server.signed_by(&key, &issuer).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("a file");
        Self { folder, certificate: server.pem(), key: key.serialize_pem() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("ca.pem")
    }
}

/// Whether a connection by this URL is encrypted; `None` where there is none.
async fn encrypted(url: &str, authority: Option<&Authority>) -> Option<bool> {
    let mut options = PostgresOptions::new(url);
    options.connections = 1;
    options.root_certificates = authority.map(Authority::path);
    let db = Db::open(Options::Postgres(options), Ambient::default()).ok()?;
    let found = db.read(async |tx: &mut Tx<'_>| tx.one(&ENCRYPTED, []).await).await;
    found.map(|(encrypted,)| encrypted).map_err(|error: DbError| eprintln!("{url}: {error}")).ok()
}

#[tokio::test]
async fn sslmode_means_what_it_means_to_libpq() {
    let postgres = Postgres::start(Durability::None).expect("a server");
    let by_host = |host: &str, mode: &str| {
        format!("{}?sslmode={mode}", postgres.url().replace("127.0.0.1", host))
    };
    // A server without TLS.
    for (mode, expected) in [
        ("disable", Some(false)),
        ("prefer", Some(false)),
        ("require", None),
        ("verify-ca", None),
        ("verify-full", None),
    ] {
        assert_eq!(encrypted(&by_host("127.0.0.1", mode), None).await, expected, "{mode}, no TLS");
    }
    let (trusted, another) = (Authority::new(), Authority::new());
    postgres.encrypt(&trusted.certificate, &trusted.key).expect("TLS");
    assert_eq!(encrypted(postgres.url(), None).await, Some(true), "without a mode it prefers TLS");
    let check = async |mode: &str, host: &str, authority: Option<&Authority>, expected| {
        let found = encrypted(&by_host(host, mode), authority).await;
        let named = authority.map(|a| std::ptr::eq(a, &trusted));
        assert_eq!(found, expected, "{mode} at {host}, trusted authority named: {named:?}");
    };
    check("disable", "localhost", None, Some(false)).await;
    check("prefer", "localhost", None, Some(true)).await;
    // It is encrypted, whoever answers; where an authority is named, it must have signed.
    check("require", "127.0.0.1", None, Some(true)).await;
    check("require", "127.0.0.1", Some(&trusted), Some(true)).await;
    check("require", "localhost", Some(&another), None).await;
    // Any host that the authority signed for.
    check("verify-ca", "127.0.0.1", Some(&trusted), Some(true)).await;
    check("verify-ca", "localhost", Some(&another), None).await;
    check("verify-ca", "localhost", None, None).await;
    // This very host.
    check("verify-full", "localhost", Some(&trusted), Some(true)).await;
    check("verify-full", "127.0.0.1", Some(&trusted), None).await;
    check("verify-full", "localhost", Some(&another), None).await;
    let path = trusted.path();
    let url = format!("{}&sslrootcert={}", by_host("localhost", "verify-full"), path.display());
    assert_eq!(encrypted(&url, Some(&another)).await, Some(true), "the URL's own comes first");
}
