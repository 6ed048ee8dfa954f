//! Dates on a line of their own, or in the place line at the start of a body.

use dateline_proto::v1::FuzzyDate;

use super::bylines::{is_agency, without_the};

/// Month names in English, German, French and Spanish, with their numbers. Three letters or more are enough.
const MONTHS: &[(&str, u8)] = &[
    ("january", 1),
    ("januar", 1),
    ("jänner", 1),
    ("janvier", 1),
    ("enero", 1),
    ("february", 2),
    ("februar", 2),
    ("février", 2),
    ("fevrier", 2),
    ("febrero", 2),
    ("march", 3),
    ("märz", 3),
    ("maerz", 3),
    ("mars", 3),
    ("marzo", 3),
    ("april", 4),
    ("avril", 4),
    ("abril", 4),
    ("may", 5),
    ("mai", 5),
    ("mayo", 5),
    ("june", 6),
    ("juni", 6),
    ("juin", 6),
    ("junio", 6),
    ("july", 7),
    ("juli", 7),
    ("juillet", 7),
    ("julio", 7),
    ("august", 8),
    ("août", 8),
    ("aout", 8),
    ("agosto", 8),
    ("september", 9),
    ("septembre", 9),
    ("septiembre", 9),
    ("october", 10),
    ("oktober", 10),
    ("octobre", 10),
    ("november", 11),
    ("novembre", 11),
    ("noviembre", 11),
    ("december", 12),
    ("dezember", 12),
    ("décembre", 12),
    ("decembre", 12),
    ("diciembre", 12),
];

/// The date on a line that contains nothing else: "March 3, 2021", "Published: 3. März 2021, 10:30 Uhr", "le 3 mars
/// 2021". A date in numbers counts only if their order is certain.
pub(super) fn date_line(line: &str) -> Option<FuzzyDate> {
    let line = line.trim();
    if line.chars().count() > 80 || !line.contains(|found: char| found.is_ascii_digit()) {
        return None;
    }
    let plain = line
        .to_lowercase()
        .replace([',', '(', ')', '|', '·', '•', '–', '—'], " ");
    let mut date = Parts::default();
    for word in plain.split_whitespace() {
        if !date.accept(word.trim_end_matches([':', ';'])) {
            return None;
        }
    }
    Some(FuzzyDate {
        edtf: date.edtf()?,
        ..FuzzyDate::default()
    })
}

/// Words around a date that do not affect the day.
const BESIDE: &[&str] = &[
    "published",
    "posted",
    "updated",
    "publié",
    "publie",
    "veröffentlicht",
    "stand",
    "aktualisiert",
    "on",
    "at",
    "am",
    "um",
    "den",
    "dem",
    "der",
    "le",
    "à",
    "a",
    "du",
    "of",
    "the",
    "de",
    "del",
    "el",
    "pm",
    "a.m.",
    "p.m.",
    "uhr",
    "h",
    "gmt",
    "utc",
    "cet",
    "cest",
    "mez",
    "mesz",
    "est",
    "edt",
    "et",
    "bst",
    "cst",
    "cdt",
    "pst",
    "pdt",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "montag",
    "dienstag",
    "mittwoch",
    "donnerstag",
    "freitag",
    "samstag",
    "sonnabend",
    "sonntag",
    "lundi",
    "mardi",
    "mercredi",
    "jeudi",
    "vendredi",
    "date",
];

#[derive(Default)]
struct Parts {
    year: Option<u16>,
    month: Option<u8>,
    day: Option<u8>,
}

impl Parts {
    /// Adds a word; returns false if it is not part of a date, or repeats a part.
    fn accept(&mut self, word: &str) -> bool {
        if let Some((year, month, day)) = numeric(word) {
            return self.year.replace(year).is_none()
                && self.month.replace(month).is_none()
                && self.day.replace(day).is_none();
        }
        if let Some(month) = month(word) {
            return self.month.replace(month).is_none();
        }
        if BESIDE.contains(&word) || is_weekday(word) || is_time(word) {
            return true;
        }
        let digits = word.trim_end_matches(['.', 'º']);
        let digits = ["st", "nd", "rd", "th", "er"]
            .iter()
            .find_map(|end| digits.strip_suffix(end))
            .unwrap_or(digits);
        match (digits.len(), digits.parse::<u16>()) {
            (4, Ok(year)) if (1400..=2199).contains(&year) => self.year.replace(year).is_none(),
            (1 | 2, Ok(day)) if (1..=31).contains(&day) => self
                .day
                .replace(u8::try_from(day).unwrap_or_default())
                .is_none(),
            _ => false,
        }
    }

    fn edtf(&self) -> Option<String> {
        let (year, month) = (self.year?, self.month?);
        let edtf = match self.day {
            Some(day) => format!("{year:04}-{month:02}-{day:02}"),
            None => format!("{year:04}-{month:02}"),
        };
        dateline_record::edtf::parse(&edtf).ok().map(|_| edtf)
    }
}

fn month(word: &str) -> Option<u8> {
    let bare = word.trim_end_matches('.');
    if bare.chars().count() < 3 {
        return None;
    }
    let mut found = MONTHS.iter().filter(|(name, _)| name.starts_with(bare));
    let (_, number) = found.next()?;
    // "ma" would match two months, and so would "jui".
    found.all(|(_, other)| other == number).then_some(*number)
}

fn is_weekday(word: &str) -> bool {
    const SHORT: &[&str] = &[
        "mon", "tue", "tues", "wed", "thu", "thur", "thurs", "fri", "sat", "sun", "mo", "di", "mi",
        "do", "fr", "so",
    ];
    SHORT.contains(&word.trim_end_matches('.'))
}

/// `10:30`, `10:30:05`, `10h30`, `10.30`, `9:41am`
fn is_time(word: &str) -> bool {
    let word = word
        .trim_end_matches("am")
        .trim_end_matches("pm")
        .trim_end_matches('z');
    let parts: Vec<_> = word.split([':', 'h']).collect();
    let is_number =
        |part: &&str| matches!(part.len(), 1 | 2) && part.bytes().all(|byte| byte.is_ascii_digit());
    (2..=3).contains(&parts.len()) && parts.iter().all(is_number)
}

/// `2021-03-03`, `03.03.2021`, and `13/03/2021` where only one order is possible.
fn numeric(word: &str) -> Option<(u16, u8, u8)> {
    let separator = ['-', '.', '/']
        .into_iter()
        .find(|separator| word.matches(*separator).count() == 2)?;
    let parts: Vec<u16> = word
        .split(separator)
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let [first, second, third] = parts.as_slice() else {
        return None;
    };
    let small = |number: u16| u8::try_from(number).ok();
    let is_year = |number: &u16| (1400..=2199).contains(number);
    let (year, month, day) = match (separator, *first, *second, *third) {
        (_, year, month, day) if is_year(&year) => (year, month, day),
        (_, _, _, no_year) if !is_year(&no_year) => return None,
        (other, day, month, year) if other == '.' || day > 12 || day == month => (year, month, day),
        (_, month, day, year) if day > 12 => (year, month, day),
        _ => return None,
    };
    Some((year, small(month)?, small(day)?))
}

/// Credits in the place line of a body: "LONDON, Jan 5, 2021 (Reuters) -".
#[derive(Debug, Default, PartialEq)]
pub(super) struct PlaceLine<'a> {
    pub agencies: Vec<&'a str>,
    pub date: Option<FuzzyDate>,
}

/// Reads the agency and the date of a place line. The line stays in the body as printed.
pub(super) fn place_line(paragraph: &str) -> PlaceLine<'_> {
    let mut found = PlaceLine::default();
    let head: usize = paragraph
        .char_indices()
        .take(100)
        .map(|(at, found)| at + found.len_utf8())
        .last()
        .unwrap_or(0);
    let head = &paragraph[..head];
    let end = [" - ", " -- ", " – ", " — ", "—", ") -"]
        .iter()
        .filter_map(|dash| Some((head.find(dash)?, *dash)))
        .min();
    let Some((end, dash)) = end else {
        return found;
    };
    let head = head[..end + usize::from(dash.starts_with(')'))].trim();
    let (place, agency) = match head
        .strip_suffix(')')
        .and_then(|rest| rest.rsplit_once('('))
    {
        Some((place, agency)) => (place.trim(), agency.trim()),
        None => (head, ""),
    };
    let begins_with_place = place
        .chars()
        .find(|found| found.is_alphabetic())
        .is_some_and(char::is_uppercase);
    if agency.is_empty() || !begins_with_place {
        return found;
    }
    let names = agency
        .split(['/', ','])
        .map(str::trim)
        .filter(|name| is_agency(name));
    found.agencies = names.map(without_the).collect();
    // The date follows the place: "MOSCOW, Jan. 5, 2021".
    let dates = place.match_indices(',').map(|(at, _)| &place[at + 1..]);
    found.date = dates
        .filter(|_| !found.agencies.is_empty())
        .find_map(date_line);
    found
}

#[cfg(test)]
mod tests {
    use super::{date_line, place_line};

    #[test]
    fn a_date_line_is_a_date_and_nothing_else() {
        for (line, edtf) in [
            ("March 3, 2021", "2021-03-03"),
            ("Wednesday, March 3rd, 2021", "2021-03-03"),
            ("3 March 2021", "2021-03-03"),
            ("Published: Mar. 3, 2021 at 10:30 AM GMT", "2021-03-03"),
            ("3. März 2021, 10:30 Uhr", "2021-03-03"),
            ("Mittwoch, den 3. März 2021", "2021-03-03"),
            ("le 3 mars 2021 à 10h30", "2021-03-03"),
            ("1er août 2021", "2021-08-01"),
            ("2021-03-03", "2021-03-03"),
            ("03.04.2021", "2021-04-03"),
            ("13/03/2021", "2021-03-13"),
            ("03/13/2021", "2021-03-13"),
            ("March 2021", "2021-03"),
        ] {
            assert_eq!(
                date_line(line).map(|date| date.edtf).as_deref(),
                Some(edtf),
                "{line}"
            );
        }
        for other in [
            "03/04/2021",
            "In March 2021 it rained",
            "March 3",
            "2021",
            "March 33, 2021",
            "30 February 2021",
            "March 3, 2021 and March 4, 2021",
            "On March 3, 2021, ministers met.",
            "3 2021",
            "",
        ] {
            assert_eq!(date_line(other), None, "{other}");
        }
    }

    #[test]
    fn a_place_line_names_its_agency() {
        let read = |text| {
            let found = place_line(text);
            (
                found.agencies.join("|"),
                found.date.map(|date| date.edtf).unwrap_or_default(),
            )
        };
        let said = |agencies: &str, date: &str| (agencies.to_owned(), date.to_owned());
        assert_eq!(
            read("LONDON, Jan 5 (Reuters) - The bank said."),
            said("Reuters", "")
        );
        assert_eq!(
            read("MOSCOW, Jan. 5, 2021 (AP) — The bank said."),
            said("AP", "2021-01-05")
        );
        assert_eq!(read("Berlin (dpa) - Die Bank sagte."), said("dpa", ""));
        assert_eq!(read("GROSSETO, Italy (AP) -- The trial."), said("AP", ""));
        assert_eq!(read("NEW YORK — The bank named a chief."), said("", ""));
        assert_eq!(read("The bank (its name is long) - said."), said("", ""));
    }
}
