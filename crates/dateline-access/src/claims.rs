//! The claims of a JWT whose signature is valid, read strictly: a malformed claim is refused, never treated as missing.
//! Each refusal names the claim.

use std::fmt;

use dateline_record::text;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use time::OffsetDateTime;

/// Tolerated difference of the issuer's clock, in seconds.
const LEEWAY_SECONDS: i64 = 30;
/// Longest validity of a token, in seconds.
const MAX_LIFETIME_SECONDS: i64 = 24 * 3600;
/// Longest subject, in characters.
const MAX_SUBJECT: usize = 200;

/// The claim for which a JWT is refused, and the reason. Does not contain the claim's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimError {
    /// Name of the claim.
    pub claim: String,
    /// The fault, as the rest of a sentence that begins with the claim's name.
    pub what: String,
}

impl ClaimError {
    pub(super) fn new(claim: &str, what: impl Into<String>) -> Self {
        Self {
            claim: claim.to_owned(),
            what: what.into(),
        }
    }
}

impl fmt::Display for ClaimError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "its claim {} {}", self.claim, self.what)
    }
}

/// The claims of a JWT.
#[derive(Debug)]
pub(super) struct Claims(Value);

/// The expected values of the claims of every JWT.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    pub issuer: &'a str,
    pub audience: &'a str,
}

impl Claims {
    /// Parses the payload.
    ///
    /// # Errors
    /// If it is not one JSON object, or an object has a duplicate key.
    pub fn parse(payload: &[u8]) -> Result<Self, String> {
        let Strict(value) = serde_json::from_slice(payload).map_err(|error| {
            // The position is of no use; the message for a duplicate key is.
            error.to_string()
        })?;
        if value.is_object() {
            Ok(Self(value))
        } else {
            Err("the payload is no object".to_owned())
        }
    }

    /// Checks the claims that every JWT must have. Returns its subject and its expiry.
    ///
    /// # Errors
    /// The first claim that is missing, malformed or not as expected.
    pub fn validate(
        &self,
        expected: &Expected<'_>,
        now: OffsetDateTime,
    ) -> Result<(String, OffsetDateTime), ClaimError> {
        if self.string("iss")? != expected.issuer {
            return Err(ClaimError::new(
                "iss",
                "names another issuer (--jwt-issuer)",
            ));
        }
        self.check_audience(expected.audience)?;
        self.check_kind()?;
        let ends_at = self.check_times(now)?;
        Ok((self.subject()?, ends_at))
    }

    /// Checks `aud`: one string or a list of strings (RFC 7519).
    fn check_audience(&self, audience: &str) -> Result<(), ClaimError> {
        let named = match self.0.get("aud") {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(list)) => strings(list).ok_or_else(|| malformed("aud"))?,
            Some(_) => return Err(malformed("aud")),
            None => return Err(missing("aud")),
        };
        if named.iter().any(|it| it == audience) {
            return Ok(());
        }
        let what = "does not name this server's audience (--jwt-audience)";
        Err(ClaimError::new("aud", what))
    }

    /// Refuses tokens that are signed with the same key but meant for another purpose.
    fn check_kind(&self) -> Result<(), ClaimError> {
        match self.0.get("typ") {
            None => {}
            Some(Value::String(kind))
                if ["bearer", "jwt", "at+jwt"].contains(&kind.to_ascii_lowercase().as_str()) => {}
            Some(_) => return Err(ClaimError::new("typ", "is not that of an access token")),
        }
        if self.0.get("events").is_some() {
            return Err(ClaimError::new(
                "events",
                "is that of a security event, not of an access token",
            ));
        }
        if self.0.get("cnf").is_some() {
            let what =
                "binds it to a key of the caller (DPoP or mutual TLS), which is not checked here";
            return Err(ClaimError::new("cnf", what));
        }
        Ok(())
    }

    fn check_times(&self, now: OffsetDateTime) -> Result<OffsetDateTime, ClaimError> {
        let seconds = now.unix_timestamp();
        let exp = self.seconds("exp")?.ok_or_else(|| missing("exp"))?;
        if exp.saturating_sub(seconds) > MAX_LIFETIME_SECONDS {
            return Err(ClaimError::new("exp", "is more than 24 hours ahead"));
        }
        if self
            .seconds("nbf")?
            .is_some_and(|nbf| nbf > seconds + LEEWAY_SECONDS)
        {
            return Err(ClaimError::new("nbf", "is in the future"));
        }
        // No leeway here: an expired token is refused.
        OffsetDateTime::from_unix_timestamp(exp).map_err(|_| malformed("exp"))
    }

    fn subject(&self) -> Result<String, ClaimError> {
        let subject = self.string("sub")?;
        if text::is_blank(&subject) || subject.chars().count() > MAX_SUBJECT {
            let what = format!("must have 1 to {MAX_SUBJECT} characters");
            return Err(ClaimError::new("sub", what));
        }
        text::check(&subject, text::TextLayout::Line)
            .map_err(|error| ClaimError::new("sub", error.to_string()))?;
        // Two encodings of the same text would be two identities.
        if text::normalize(&subject) != subject {
            return Err(ClaimError::new("sub", "is not in Unicode's form NFC"));
        }
        Ok(subject)
    }

    fn string(&self, claim: &str) -> Result<String, ClaimError> {
        match self.0.get(claim) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(malformed(claim)),
            None => Err(missing(claim)),
        }
    }

    fn seconds(&self, claim: &str) -> Result<Option<i64>, ClaimError> {
        match self.0.get(claim) {
            None => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| {
                ClaimError::new(
                    claim,
                    "is malformed: it must be a whole number of seconds since 1970",
                )
            }),
        }
    }

    /// Returns the values of a claim that is a list of strings or one string; `None` if there is no such claim. A name
    /// with dots is either the name of a claim or a path into objects.
    ///
    /// # Errors
    /// If the claim has another type.
    pub fn string_list(&self, claim: &str) -> Result<Option<Vec<String>>, ClaimError> {
        let mut found = Vec::new();
        find(&self.0, claim, &mut found).map_err(|()| malformed(claim))?;
        let value = match found[..] {
            [] => return Ok(None),
            [value] => value,
            _ => return Err(ClaimError::new(claim, "is there more than once")),
        };
        let words = match value {
            Value::String(word) => Some(vec![word.clone()]),
            Value::Array(list) => strings(list),
            _ => None,
        };
        let is_word = |word: &String| !text::is_blank(word);
        words
            .filter(|words| words.iter().all(is_word))
            .map(Some)
            .ok_or_else(|| {
                ClaimError::new(
                    claim,
                    "is malformed: it must be a list of strings, or one string",
                )
            })
    }
}

/// Collects every value that a path may refer to. Keys may contain dots themselves, like namespaced claims and names of
/// clients.
fn find<'a>(value: &'a Value, path: &str, found: &mut Vec<&'a Value>) -> Result<(), ()> {
    let object = value.as_object().ok_or(())?;
    found.extend(object.get(path));
    for (dot, _) in path.match_indices('.') {
        if let Some(inner) = object.get(&path[..dot]) {
            find(inner, &path[dot + 1..], found)?;
        }
    }
    Ok(())
}

fn strings(list: &[Value]) -> Option<Vec<String>> {
    let words = list.iter().map(|word| word.as_str().map(ToOwned::to_owned));
    words.collect()
}

fn missing(claim: &str) -> ClaimError {
    ClaimError::new(claim, "is missing")
}

fn malformed(claim: &str) -> ClaimError {
    ClaimError::new(claim, "is malformed")
}

/// A JSON value without duplicate keys. Parsers differ in which duplicate they keep, so duplicates are refused.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value of JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(value)) = seq.next_element()? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Strict(value))) = map.next_entry::<String, _>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom("a claim is there twice"));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(value: &Value) -> Claims {
        Claims::parse(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn words_of_a_claim_are_read_strictly() {
        let claims = claims(&serde_json::json!({
            "roles": ["reader", "offline_access"],
            "one": "admin",
            "realm": {"roles": ["editor"]},
            "https://news.example/roles": ["publisher"],
            "resource_access": {"news.example": {"roles": ["exporter"]}},
            "twice": {"a": "x"}, "twice.a": "y",
            "none": [],
            "nested": [["admin"]], "mixed": ["admin", 1], "object": {"admin": true}, "number": 5,
            "null": null, "blank": "", "blanks": ["admin", " "], "text": "x",
        }));
        let words = |claim| claims.string_list(claim);
        for (claim, expected) in [
            ("roles", &["reader", "offline_access"][..]),
            ("one", &["admin"]),
            ("realm.roles", &["editor"]),
            ("https://news.example/roles", &["publisher"]),
            ("resource_access.news.example.roles", &["exporter"]),
            ("none", &[]),
        ] {
            assert_eq!(words(claim).unwrap().unwrap(), expected, "{claim}");
        }
        for claim in ["missing", "missing.roles", "realm.other"] {
            assert_eq!(words(claim), Ok(None), "{claim}");
        }
        for claim in [
            "nested",
            "mixed",
            "object",
            "number",
            "null",
            "blank",
            "blanks",
            "twice.a",
            "text.roles",
            "null.roles",
        ] {
            assert_eq!(words(claim).unwrap_err().claim, claim);
        }
    }

    #[test]
    fn claims_that_are_there_twice_are_none_at_any_depth() {
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"{"a": {"b": 1, "b": 2}}"#,
            r#"{"a": [{"b": 1, "b": 2}]}"#,
            r#"{"a": 1, "\u0061": 2}"#,
            "[]",
            "1e999",
            "",
        ] {
            assert!(Claims::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
