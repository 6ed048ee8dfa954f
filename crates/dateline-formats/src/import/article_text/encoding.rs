//! The encoding of a text: the given one, that of the byte order mark, or UTF-8. It is never guessed: a text that is
//! not UTF-8 is rejected, with a hint at the likely encoding.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::Error;

/// Decodes a text.
///
/// # Errors
/// If the encoding is unknown, or the bytes are invalid in it.
pub fn decode(bytes: &[u8], label: Option<&str>) -> Result<String, Error> {
    let marked = Encoding::for_bom(bytes);
    let Some(label) = label else {
        return match marked {
            Some((encoding, length)) if encoding != UTF_8 => {
                with(encoding, &bytes[length..], encoding.name())
            }
            _ => utf8(bytes),
        };
    };
    let unknown = || Error::UnknownEncoding {
        label: label.to_owned(),
    };
    let said = Encoding::for_label_no_replacement(label.trim().as_bytes()).ok_or_else(unknown)?;
    let is_unicode = |encoding| [UTF_8, UTF_16LE, UTF_16BE].contains(&encoding);
    // "utf-16" leaves the byte order open; the mark decides it.
    match marked.filter(|_| is_unicode(said)) {
        Some((encoding, length)) => with(encoding, &bytes[length..], encoding.name()),
        None => with(said, bytes, said.name()),
    }
}

fn with(encoding: &'static Encoding, bytes: &[u8], name: &str) -> Result<String, Error> {
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
    text.map(std::borrow::Cow::into_owned)
        .ok_or_else(|| Error::Misencoded {
            name: name.to_owned(),
        })
}

fn utf8(bytes: &[u8]) -> Result<String, Error> {
    let wide = looks_wide(bytes);
    match (std::str::from_utf8(bytes), wide) {
        (Ok(text), None) => Ok(text.to_owned()),
        (Ok(_), Some(looks_like)) => Err(Error::NotUtf8 {
            offset: bytes.iter().position(|byte| *byte == 0).unwrap_or_default(),
            looks_like,
        }),
        (Err(error), wide) => Err(Error::NotUtf8 {
            offset: error.valid_up_to(),
            looks_like: wide.unwrap_or("windows-1252"),
        }),
    }
}

/// Detects UTF-16 without a mark: in Latin text about every second byte is null.
fn looks_wide(bytes: &[u8]) -> Option<&'static str> {
    let nulls = |parity: usize| {
        let every_other = bytes.iter().skip(parity).step_by(2);
        every_other.filter(|byte| **byte == 0).count()
    };
    let (even, odd) = (nulls(0), nulls(1));
    match (even + odd) * 4 >= bytes.len().max(4) {
        true if odd > even => Some("utf-16le"),
        true if even > odd => Some("utf-16be"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    fn wide(text: &str, is_big: bool) -> Vec<u8> {
        let unit = |unit: u16| {
            if is_big {
                unit.to_be_bytes()
            } else {
                unit.to_le_bytes()
            }
        };
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn a_mark_or_a_label_decides_and_otherwise_the_refusal_names_the_encoding() {
        let text = "Größe “€”\n\nBody";
        for is_big in [false, true] {
            let marked = wide(&format!("\u{feff}{text}"), is_big);
            assert_eq!(decode(&marked, None).unwrap(), text);
            assert_eq!(decode(&marked, Some("utf-16")).unwrap(), text);
            let bare = wide(text, is_big);
            let label = if is_big { "utf-16be" } else { "utf-16le" };
            let told = decode(&bare, None).unwrap_err().to_string();
            assert!(told.contains(&format!("--encoding {label}")), "{told}");
            assert_eq!(decode(&bare, Some(label)).unwrap(), text);
        }
        let old = b"Gr\xf6\xdfe \x93\x80\x94\n\nBody";
        let told = decode(old, None).unwrap_err().to_string();
        assert!(
            told.contains("byte 2 ") && told.contains("--encoding windows-1252"),
            "{told}"
        );
        assert_eq!(decode(old, Some("Windows-1252")).unwrap(), text);
        assert_eq!(decode(text.as_bytes(), Some("utf8")).unwrap(), text);
        let told = decode(old, Some("utf-8")).unwrap_err().to_string();
        assert!(told.contains("is not UTF-8"), "{told}");
        assert!(
            decode(old, Some("klingon"))
                .unwrap_err()
                .to_string()
                .contains("klingon")
        );
    }
}
