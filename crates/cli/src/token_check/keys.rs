//! Published keys: a JWKS document, cut down to what can verify tokens here.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

use super::token::{Algorithm, Unverified};

/// Most keys of a set. Issuers publish a handful.
const KEYS_MAX: usize = 256;

/// Largest number of an RSA key in bytes: 8192 bits, the most that is verified.
const NUMBER_BYTES_MAX: usize = 1024;

/// Bytes of a coordinate of P-256 and of a key of Ed25519.
const POINT_BYTES: usize = 32;

/// Why a document is no set of keys.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum KeyError {
    /// Not JSON, or without a list of keys.
    #[error("not a JSON object with a list `keys`")]
    Form,
    /// Too many to be looked through for each token.
    #[error("more than {KEYS_MAX} keys")]
    TooMany,
}

/// The usable keys of a set.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

/// A key that verifies one algorithm.
#[derive(Debug)]
pub(super) struct Key {
    id: Option<String>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// Uncompressed point.
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

/// A key as published.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a document. Keys that cannot verify here are left out: other kinds, other uses, shared secrets.
    pub(super) fn parse(body: &[u8]) -> Result<Self, KeyError> {
        let document: Document = serde_json::from_slice(body).map_err(|_| KeyError::Form)?;
        if document.keys.len() > KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let key = |value| serde_json::from_value(value).ok().and_then(Key::of);
        Ok(Self(document.keys.into_iter().filter_map(key).collect()))
    }

    /// The keys that may have signed `token`: of its algorithm, and of its key id. A token without one can only be of
    /// the one key there is.
    pub(super) fn of(&self, token: &Unverified<'_>) -> impl Iterator<Item = &Key> {
        let fits = |key: &&Key| key.algorithm() == token.algorithm;
        let only = token.key_id.is_none() && self.0.iter().filter(fits).count() == 1;
        let id = token.key_id.clone();
        self.0.iter().filter(fits).filter(move |key| only || (id.is_some() && key.id == id))
    }
}

impl Key {
    fn of(jwk: Jwk) -> Option<Self> {
        let signs = jwk.usage.as_deref().is_none_or(|usage| usage == "sig");
        let verifies = jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        let number = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_ref()?).ok();
        let point = |text| number(text).filter(|bytes| bytes.len() == POINT_BYTES);
        let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => Material::Rsa { n: magnitude(number(&jwk.n)?)?, e: magnitude(number(&jwk.e)?)? },
            ("EC", Some("P-256")) => Material::P256([vec![4], point(&jwk.x)?, point(&jwk.y)?].concat()),
            ("OKP", Some("Ed25519")) => Material::Ed25519(point(&jwk.x)?),
            _ => return None,
        };
        let key = Self { id: jwk.kid, material };
        // A key that names its algorithm is for that one alone.
        let agrees = jwk.alg.is_none_or(|name| Algorithm::named(&name) == Some(key.algorithm()));
        (signs && verifies && agrees).then_some(key)
    }

    fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Rsa { .. } => Algorithm::Rs256,
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// Whether the signature of `token` is of this key.
    pub(super) fn has_signed(&self, token: &Unverified<'_>) -> bool {
        let (signed, signature) = (token.signed, token.signature.as_slice());
        let verified = match &self.material {
            Material::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
            }
            Material::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature),
            Material::Ed25519(point) => UnparsedPublicKey::new(&ED25519, point).verify(signed, signature),
        };
        token.algorithm == self.algorithm() && verified.is_ok()
    }
}

/// A number of an RSA key without the zeros that some publishers put in front of it.
fn magnitude(bytes: Vec<u8>) -> Option<Vec<u8>> {
    let first = bytes.iter().position(|byte| *byte != 0)?;
    let number = bytes.get(first..)?;
    (number.len() <= NUMBER_BYTES_MAX).then(|| number.to_vec())
}
