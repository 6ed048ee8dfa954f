//! Messages in a file, each preceded by its length as a varint.

use std::io::{BufRead, Read as _};

/// Bytes of the longest varint for the length of a record, with a margin.
const MAX_VARINT_BYTES: u32 = 5;

/// Reads the bytes of the next message, after their length as a varint; `None` at the end.
///
/// # Errors
/// If they cannot be read, or the length is wrong: the next message cannot be found then.
pub(crate) fn next_delimited(
    reader: &mut impl BufRead,
    most: u64,
) -> std::io::Result<Option<Vec<u8>>> {
    if reader.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let length = length(reader, most)?;
    let mut bytes = Vec::new();
    reader.take(length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length {
        return Err(std::io::Error::other(format!(
            "has {} of its {length} bytes; the file is cut, or the length is wrong",
            bytes.len()
        )));
    }
    Ok(Some(bytes))
}

fn length(reader: &mut impl BufRead, most: u64) -> std::io::Result<u64> {
    let mut length = 0;
    for position in 0..MAX_VARINT_BYTES {
        let mut byte = [0];
        if reader.read(&mut byte)? == 0 {
            return Err(std::io::Error::other("the file ends within its length"));
        }
        length |= u64::from(byte[0] & 0x7f) << (7 * position);
        if byte[0] & 0x80 == 0 {
            if length > most {
                return Err(std::io::Error::other(format!(
                    "its length is given as {length} bytes; no record is longer than {most}"
                )));
            }
            return Ok(length);
        }
    }
    Err(std::io::Error::other("does not begin with a length"))
}
