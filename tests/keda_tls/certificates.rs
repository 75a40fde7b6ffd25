//! Authorities, the certificates they issue, and the folder that Kubernetes would mount them in.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
    date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tidetable::keda::tls::Settings;

/// When the server's certificates end: 2099-01-01, and in seconds since 1970.
pub(crate) const END: (i32, u8, u8) = (2099, 1, 1);
pub(crate) const END_SECONDS: u64 = 4_070_908_800;

/// The name that every server's certificate has.
pub(crate) const HOST: &str = "tidetable.tidetable.svc";

/// An authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for our server.
    pub(crate) fn server(&self) -> Pair {
        self.server_until(END)
    }

    pub(crate) fn server_until(&self, (year, month, day): (i32, u8, u8)) -> Pair {
        let mut params = CertificateParams::new([HOST.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_after = date_time_ymd(year, month, day);
        self.issue(&params)
    }

    /// A certificate for a client, with these names; those with `://` are URIs.
    pub(crate) fn client(&self, names: &[&str]) -> Pair {
        self.client_between(names, 2000, 2099)
    }

    pub(crate) fn client_between(&self, names: &[&str], from: i32, until: i32) -> Pair {
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = names
            .iter()
            .map(|name| {
                if name.contains("://") {
                    SanType::URI((*name).try_into().unwrap())
                } else {
                    SanType::DnsName((*name).try_into().unwrap())
                }
            })
            .collect();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        self.issue(&params)
    }

    fn issue(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Pair { cert: cert.pem(), key: key.serialize_pem() }
    }

    /// What a client uses that trusts this authority and shows `own`.
    pub(crate) fn trusted(&self, own: Option<&Pair>) -> Arc<ClientConfig> {
        self.trusted_with(own, rustls::ALL_VERSIONS)
    }

    pub(crate) fn trusted_with(
        &self,
        own: Option<&Pair>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            Some(Pair { cert, key }) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
                )
                .unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }
}

/// A Secret as the kubelet mounts it: files are links into `..data`, which is a link that is swapped.
pub(crate) struct Mounted {
    folder: TempDir,
    swaps: u32,
}

impl Mounted {
    pub(crate) fn new(pair: &Pair, ca: Option<&str>) -> Self {
        let mut mounted = Self { folder: tempfile::tempdir().unwrap(), swaps: 0 };
        mounted.swap(pair, ca);
        for name in ["tls.crt", "tls.key", "ca.crt"] {
            symlink(Path::new("..data").join(name), mounted.folder.path().join(name)).unwrap();
        }
        mounted
    }

    /// Other contents, all at once.
    pub(crate) fn swap(&mut self, pair: &Pair, ca: Option<&str>) {
        self.swaps += 1;
        let (root, name) = (self.folder.path(), format!("..data_{}", self.swaps));
        fs::create_dir(root.join(&name)).unwrap();
        fs::write(root.join(&name).join("tls.crt"), &pair.cert).unwrap();
        fs::write(root.join(&name).join("tls.key"), &pair.key).unwrap();
        if let Some(ca) = ca {
            fs::write(root.join(&name).join("ca.crt"), ca).unwrap();
        }
        symlink(&name, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The settings for it, looked at often.
    pub(crate) fn settings(&self) -> Settings {
        let check_every = std::time::Duration::from_millis(20);
        Settings { check_every, ..Settings::new(self.path("tls.crt"), self.path("tls.key")) }
    }

    /// The same, with client certificates of these names.
    pub(crate) fn mutual(&self, allowed: &[&str]) -> Settings {
        let allowed_names = allowed.iter().map(|name| (*name).to_owned()).collect();
        Settings { client_ca: Some(self.path("ca.crt")), allowed_names, ..self.settings() }
    }
}
