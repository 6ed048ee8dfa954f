//! Encoded messages read field by field, without decoding them. Only the canonical encoding is read here: fields in the
//! order of their numbers, as `prost` and most other encoders write them. For any other bytes the callers decode the
//! message, which costs several times as much and accepts every encoding.

/// The value of a field as it is encoded.
#[derive(Debug, Clone, Copy)]
pub enum WireValue<'a> {
    /// Integers, booleans and enums.
    Varint(u64),
    /// Doubles.
    Fixed64(u64),
    /// Floats.
    Fixed32(u32),
    /// Texts, messages and packed lists.
    Bytes(&'a [u8]),
}

/// The fields of an encoded message, in the order of the bytes.
#[derive(Debug, Clone)]
pub struct WireFields<'a> {
    rest: &'a [u8],
    last: u32,
}

impl<'a> WireFields<'a> {
    /// The fields of these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            last: 0,
        }
    }

    /// Returns the next field, or `Some(None)` at the end; `None` if it is malformed or out of order.
    pub fn next_field(&mut self) -> Option<Option<(u32, WireValue<'a>)>> {
        if self.rest.is_empty() {
            return Some(None);
        }
        let key = varint(&mut self.rest)?;
        let number = u32::try_from(key >> 3).ok()?;
        if number < self.last || number == 0 {
            return None;
        }
        self.last = number;
        let value = match key & 7 {
            0 => WireValue::Varint(varint(&mut self.rest)?),
            1 => WireValue::Fixed64(u64::from_le_bytes(*self.rest.split_first_chunk()?.0)),
            2 => {
                let length = usize::try_from(varint(&mut self.rest)?).ok()?;
                WireValue::Bytes(self.take(length)?)
            }
            5 => WireValue::Fixed32(u32::from_le_bytes(*self.rest.split_first_chunk()?.0)),
            _ => return None,
        };
        match value {
            WireValue::Fixed64(_) => self.take(8)?,
            WireValue::Fixed32(_) => self.take(4)?,
            WireValue::Varint(_) | WireValue::Bytes(_) => &[],
        };
        Some(Some((number, value)))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

/// Reads a varint of at most ten bytes.
pub fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// The low half of a varint: a 32-bit integer or the number of an enum.
#[must_use]
pub fn low_half(number: u64) -> i32 {
    // Every decoder does the same: a negative number takes ten bytes, of which the upper half only repeats the sign.
    u32::try_from(number & u64::from(u32::MAX))
        .unwrap_or_default()
        .cast_signed()
}
