use proptest::prelude::*;

use super::*;

const OBJECT: &str = "6e46dd10defc9b56c29a6ec56b508c21f54c08192194e4df25bf36f0c9c3c279";
const WEIGHTS: &str = "b1b0b5d4ca3580ff05e68cb6e5f1a1cc76b90b3deba22b82f597471a77cdb6b7";

#[test]
fn h12_1_fields_carry_their_form_and_read_both() {
    let hash: Blake3Hash = OBJECT.parse().unwrap();
    let digest = Digest::from(hash);
    assert_eq!(serde_json::to_string(&hash).unwrap(), format!("\"{OBJECT}\""));
    assert_eq!(serde_json::to_string(&digest).unwrap(), format!("\"blake3:{OBJECT}\""));
    for text in [OBJECT.to_owned(), format!("blake3:{OBJECT}"), format!("BLAKE3:{}", OBJECT.to_uppercase())] {
        assert_eq!(text.parse::<Blake3Hash>(), Ok(hash));
        assert_eq!(text.parse::<Digest>(), Ok(digest));
        assert_eq!(serde_json::from_value::<Blake3Hash>(text.clone().into()).unwrap(), hash);
        assert_eq!(serde_json::from_value::<Digest>(text.into()).unwrap(), digest);
    }
}

#[test]
fn h12_1_what_is_no_hash_is_refused() {
    for text in ["", "blake3:", "blake3:6e46", &OBJECT[1..], &format!("{OBJECT}0"), &format!("g{}", &OBJECT[1..])] {
        assert_eq!(text.parse::<Digest>(), Err(DigestError::Hex), "{text}");
    }
    assert_eq!(format!("md5:{OBJECT}").parse::<Digest>(), Err(DigestError::Algorithm));
    assert_eq!(format!("sha256:{OBJECT}").parse::<Blake3Hash>(), Err(DigestError::Algorithm));
    // 64 bytes, and not 64 digits.
    assert_eq!("é".repeat(32).parse::<Digest>(), Err(DigestError::Hex));
}

#[test]
fn h12_5_vectors_of_content() {
    assert_eq!(Blake3Hash::of(b"{}").to_string(), OBJECT);
    assert_eq!(Blake3Hash::of(b"weights-bytes").to_string(), WEIGHTS);
}

#[test]
fn h12_1_sha256_of_assets() {
    let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(Digest::sha256(b"").to_string(), empty);
    assert_eq!(empty.parse(), Ok(Digest::sha256(b"")));
    assert_eq!(Digest::sha256(b"").as_blake3(), None);
}

proptest! {
    #[test]
    fn digests_round_trip(bytes: [u8; 32], sha: bool) {
        let algorithm = if sha { DigestAlgorithm::Sha256 } else { DigestAlgorithm::Blake3 };
        let digest = Digest::from_bytes(algorithm, bytes);
        prop_assert_eq!(digest.to_string().parse(), Ok(digest));
    }

    #[test]
    fn pieces_hash_as_one(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..10)) {
        let whole = pieces.concat();
        for (algorithm, want) in
            [(DigestAlgorithm::Blake3, Blake3Hash::of(&whole).into()), (DigestAlgorithm::Sha256, Digest::sha256(&whole))]
        {
            let mut hasher = DigestHasher::new(algorithm);
            pieces.iter().for_each(|piece| hasher.update(piece));
            prop_assert_eq!(hasher.digest(), want);
            prop_assert_eq!(hasher.digest(), want);
        }
    }

    #[test]
    fn any_text_is_a_digest_or_an_error(text in "\\PC{0,80}") {
        if let Ok(digest) = text.parse::<Digest>() {
            prop_assert_eq!(digest.to_string().parse(), Ok(digest));
        }
    }
}
