//! Tests of the plain-text reader on the seed article and on less tidy texts.

use dateline_proto::v1::{Bundle, Record, TextSpan, text_span::Part};
use dateline_record::{name::Name, text::slice};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;
use crate::json;

const ARTICLE: &[u8] = include_bytes!("../../../../seed/article.txt");
const GOLD: &str = include_str!("../../../../seed/gold.json");

fn gold() -> Bundle {
    json::read(GOLD).unwrap()
}

#[track_caller]
fn draft(text: &str) -> Article {
    read(text.as_bytes(), None).unwrap()
}

fn sources(article: &Article) -> Vec<&str> {
    let names = article
        .sources
        .iter()
        .map(|source| source.display_name.as_str());
    names.collect()
}

fn bylines(article: &Article) -> Vec<&str> {
    assert!(article.bylines.iter().all(|byline| byline.role == "author"));
    let names = article
        .bylines
        .iter()
        .map(|byline| byline.display_name.as_str());
    names.collect()
}

#[test]
fn the_seed_article_reads_as_the_gold_article() {
    let gold = gold();
    let expected = &gold.articles[0];
    let read = read(ARTICLE, Some("en")).unwrap();
    assert_eq!(read.name, expected.name);
    assert_eq!(
        read.name,
        "articles/kazakhstan-confirms-partnership-with-nato-us"
    );
    assert_eq!(read.headline, expected.headline);
    assert_eq!(read.body, expected.body);
    assert_eq!(read.language_code, "en");
    assert_eq!(sources(&read), sources(expected));
    assert_eq!(
        sources(&read),
        ["Kazinform", "Delovoi Kazakhstan", "NATO", "Regnum"]
    );
    assert_eq!(read.bylines, expected.bylines);
    assert_eq!(
        hex::encode(Sha256::digest(ARTICLE)),
        expected.original_sha256
    );
}

#[test]
fn every_quote_and_mention_of_the_gold_records_is_found_in_the_seed_article_as_read() {
    let read = read(ARTICLE, None).unwrap();
    let check = |span: &TextSpan| {
        let part = match span.part() {
            Part::Headline => &read.headline,
            Part::Body => &read.body,
            Part::Unspecified => panic!("{span:?}"),
        };
        let [start, end] = [span.start, span.end].map(|offset| usize::try_from(offset).unwrap());
        assert_eq!(slice(part, start, end), Some(span.exact.as_str()));
    };
    let (mut mentions, mut quotes) = (0, 0);
    for mention in &gold().articles[0].mentions {
        check(mention.span.as_ref().unwrap());
        mentions += 1;
    }
    for record in Vec::<Record>::from(gold()) {
        let evidence = record.kind.as_ref().and_then(|body| body.evidence());
        for quote in evidence
            .into_iter()
            .flatten()
            .filter_map(|it| it.quote.as_ref())
        {
            check(quote);
            quotes += 1;
        }
    }
    assert!(mentions > 20 && quotes > 46, "{mentions} and {quotes}");
}

#[test]
fn what_is_no_article_is_refused_in_words() {
    let long = format!("{}\n\nBody.", "é".repeat(501));
    for (text, told) in [
        (&b""[..], "the text is empty"),
        (b"\xef\xbb\xbf \r\n\t\xe2\x80\x8b\n", "the text is empty"),
        (
            b"Advertisement\n\nShare this:\nTwitter\n",
            "the text holds nothing but page furniture, such as \"Advertisement\"",
        ),
        (
            b"We use cookies to make this site better.\n",
            "the text holds nothing but page furniture, such as \"We use cookies to make this site better.\"",
        ),
        (
            b"Headline\n\nComments are closed.",
            "the text has a headline but no body: \"Headline\" is all there is",
        ),
        (
            b"Headline\nBy Jane Doe\n\nSources: NATO\n",
            "the text has a headline but no body: \"Headline\" is all there is",
        ),
        (
            "Café\n\nB\u{e9}b".as_bytes().split_at(9).0,
            "the text is not UTF-8: byte 8 begins no character; save it as UTF-8, or name its encoding: it looks like \
             --encoding windows-1252",
        ),
        (
            b"\xff\xfeK\0a\0",
            "the text has a headline but no body: \"Ka\" is all there is",
        ),
        (
            long.as_bytes(),
            "the first line has 501 characters, and a headline at most 500; \
             put the headline on a line of its own",
        ),
    ] {
        assert_eq!(read(text, None).unwrap_err().to_string(), told, "{text:?}");
    }
}

#[test]
fn line_ends_marks_and_spaces_are_made_plain() {
    let read = draft(
        "\u{feff}\r\n  Cafe\u{301} opens \r\n\r\n\r\n  One.  \r\n \u{a0} \r\n\t\r\nTwo,\t\r\n  two.\r\n\r\n",
    );
    assert_eq!(read.headline, "Café opens");
    assert_eq!(read.body, "One.\n\nTwo,\n  two.");
    assert_eq!(read.language_code, "und");
    assert_eq!(read.name, "articles/cafe-opens");
    // Concatenated files contain such marks.
    let marked = draft("\u{feff}Headline\n\n \u{feff}One.");
    assert_eq!(
        (marked.headline.as_str(), marked.body.as_str()),
        ("Headline", "One.")
    );
}

#[test]
fn furniture_goes_at_the_ends_and_stays_in_the_middle() {
    let text = "Skip to content\n\nThis site uses cookies. Accept?\n\nADVERTISEMENT\nHeadline\n\nShare this:\n\nFacebook\n\
                By Jane Doe\nPrint\n\nOne.\n\nAdvertisement\n\nRelated posts\n\nWe use cookies in our kitchen, she said.\n\nTwo.\n\n\
                Read more: Another Headline\n\nLike this: \nLoading...\nRelated Posts\n\nLeave a comment »\n";
    let read = draft(text);
    assert_eq!(read.headline, "Headline");
    assert_eq!(bylines(&read), ["Jane Doe"]);
    assert_eq!(
        read.body,
        "One.\n\nAdvertisement\n\nRelated posts\n\nWe use cookies in our kitchen, she said.\n\nTwo."
    );
    // The text after such a heading may be part of the article, so it is kept.
    let kept = "Headline\n\nOne.\n\nRelated posts\n\nAnother Headline";
    assert_eq!(
        draft(kept).body,
        "One.\n\nRelated posts\n\nAnother Headline"
    );
    // A line is furniture only as a whole.
    let kept = "Headline\n\nOne.\n\nRead more books, she said.\n\nShare this burden.";
    assert!(draft(kept).body.ends_with("\n\nShare this burden."));
}

#[test]
fn sources_come_in_order_from_every_line_of_credits_and_stay_in_the_body() {
    let read = draft(
        "Headline\n\nOne.\n\nSource: World Bank; U.S. Census, Acme Inc.\n\nTwo.\n\n\
         SOURCES : Ministry of Trade and Industry, World Bank, Regnum and Kazinform.\n",
    );
    let expected = [
        "World Bank",
        "U.S. Census",
        "Acme Inc.",
        "Ministry of Trade and Industry",
        "Regnum",
        "Kazinform",
    ];
    assert_eq!(sources(&read), expected);
    assert!(
        read.body
            .contains("One.\n\nSource: World Bank; U.S. Census, Acme Inc.\n\nTwo.")
    );
    for (line, expected) in [
        (
            "Sources: NATO, Regnum, and Kazinform",
            &["NATO", "Regnum", "Kazinform"][..],
        ),
        ("Sources: NATO and Regnum", &["NATO", "Regnum"]),
        ("Sources: the U.S.", &["the U.S."]),
        ("Sources: Anderson;; ,", &["Anderson"]),
        ("Sources:", &[]),
        ("Sources said: NATO", &[]),
        (
            "Sources: three officials told us on Monday that the troops would leave before the end of the year, and NATO",
            &[],
        ),
    ] {
        let read = draft(&format!(
            "Headline\n\nOne.\n\n{line}\n\nComments are closed."
        ));
        assert_eq!(sources(&read), expected, "{line}");
        assert_eq!(read.body, format!("One.\n\n{line}"));
    }
}

#[test]
fn a_byline_after_the_headline_is_taken_out_of_the_body() {
    for (line, expected) in [
        ("By Jane Doe", &["Jane Doe"][..]),
        ("BY JANE DOE", &["JANE DOE"]),
        (
            "By Jane Doe and Ursula von der Leyen",
            &["Jane Doe", "Ursula von der Leyen"],
        ),
        (
            "By Jane Doe, John Roe, and Ann Poe",
            &["Jane Doe", "John Roe", "Ann Poe"],
        ),
        ("By Jane Doe, Kazinform", &["Jane Doe, Kazinform"]),
        ("By Reuters", &["Reuters"]),
    ] {
        for text in [
            format!("Headline\n{line}\n\nASTANA, Sept 3 (Kazinform) - One."),
            format!("Headline\n\n{line}\n\nASTANA, Sept 3 (Kazinform) - One."),
        ] {
            let read = draft(&text);
            assert_eq!(bylines(&read), expected, "{text}");
            assert_eq!(read.body, "ASTANA, Sept 3 (Kazinform) - One.");
        }
    }
    for line in [
        "By Monday the troops had left.",
        "By the time he came it was over",
        "Byron Smith",
        "By",
        "By 2021",
    ] {
        let read = draft(&format!("Headline\n\n{line}\n\nOne."));
        assert_eq!(bylines(&read), [""; 0], "{line}");
        assert_eq!(read.body, format!("{line}\n\nOne."));
    }
    let later = draft("Headline\n\nOne.\n\nBy Jane Doe");
    assert_eq!(
        (bylines(&later).len(), later.body.as_str()),
        (0, "One.\n\nBy Jane Doe")
    );
}

/// Breaks lines as mail programs do.
fn wrap(text: &str, width: usize) -> String {
    let wrap_line = |line: &str| {
        let mut lines = vec![String::new()];
        for word in line.split(' ') {
            let last = lines.last_mut().unwrap();
            if last.is_empty() {
                last.push_str(word);
            } else if last.chars().count() + 1 + word.chars().count() <= width {
                last.push(' ');
                last.push_str(word);
            } else {
                lines.push(word.to_owned());
            }
        }
        lines.join("\n")
    };
    text.lines().map(wrap_line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_hard_wrapped_text_is_joined_to_what_it_was() {
    let gold = &gold().articles[0];
    for width in [40, 66, 72, 80, 100] {
        let text = format!(
            "We use cookies to make this site better for you.\n\n{}\nBy Jane Doe\n\n{}\n\nComments are closed.",
            gold.headline, gold.body
        );
        let read = draft(&wrap(&text, width));
        assert_eq!(read.headline, gold.headline, "{width}");
        assert_eq!(bylines(&read), ["Jane Doe"], "{width}");
        assert_eq!(read.body, gold.body, "{width}");
        assert_eq!(sources(&read), sources(gold), "{width}");
        // Without an empty line after it, the headline is still the first line.
        let dense = format!("Headline\n{}", gold.body);
        let read = draft(&wrap(&dense, width));
        assert_eq!(
            (read.headline.as_str(), &read.body),
            ("Headline", &gold.body),
            "{width}"
        );
    }
}

#[test]
fn breaks_that_the_author_made_stay() {
    let verse = "The harbour is open again\nAnd the ships are all in\nThe storm is over\nWe begin";
    assert_eq!(
        draft(&format!("Headline\n\n{verse}\n\nEnd.")).body,
        format!("{verse}\n\nEnd.")
    );
    // Also in a wrapped text, where a line ends long before the width.
    let prose = wrap(&gold().articles[0].body, 72);
    let read = draft(&format!("Headline\n\n{prose}\n\n- ships\n- trains"));
    assert!(
        read.body.ends_with("\n\n- ships\n- trains"),
        "{}",
        read.body
    );
    // Without any empty line, each line is a paragraph.
    let lines = gold().articles[0].body.replace("\n\n", "\n");
    assert_eq!(
        draft(&format!("Headline\n{lines}")).body,
        gold().articles[0].body
    );
}

#[test]
fn a_proposed_name_is_a_name_that_reads_like_the_headline() {
    let long =
        "Kazakhstan’s ‘Steppe Eagle’ and Regional Cooperation: Two Exercises, 3.5 Weeks, One Aim";
    for (headline, id) in [
        (
            "Kazakhstan Confirms Partnership with NATO, U.S.",
            "kazakhstan-confirms-partnership-with-nato-us",
        ),
        (
            long,
            "kazakhstans-steppe-eagle-and-regional-cooperation-two-exercises",
        ),
        (
            "2021 in Review: 3.5% Growth",
            "article-2021-in-review-3-5-growth",
        ),
        ("Казахстан и НАТО", "kazakhstan-i-nato"),
        ("Åland — “Fædrelandet” straße", "aland-faedrelandet-strasse"),
        ("- No? -", "no"),
        (&"x".repeat(70), &"x".repeat(63)),
    ] {
        let name = propose_name(headline);
        assert_eq!(name, format!("articles/{id}"));
        assert!(Name::parse(&name).is_some(), "{name}");
    }
    assert_eq!(propose_name("—…!"), "");
}

/// Random texts, with fragments that the rules match.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n"),
        Just("\n\n"),
        Just("\r\n"),
        Just("\u{feff}"),
        Just(" \t "),
        Just("Advertisement\n"),
        Just("Read more: this\n"),
        Just("\nBy Jane Doe\n"),
        Just("\nSources: NATO, Regnum and the U.S.\n"),
        Just("e\u{301}"),
        Just("\u{1100}\u{1161}"),
        Just("a line that is wrapped at some width or other\nand goes on "),
        Just("word "),
        Just("Sources:"),
        Just("By "),
        Just(", and ;"),
        Just("."),
    ];
    let known = proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat());
    prop_oneof![known, any::<String>()]
}

proptest! {
    #[test]
    fn nothing_is_dropped_but_at_the_ends(text in text()) {
        let dense = |text: &str| -> String {
            text.lines().filter(|line| !is_blank(line)).flat_map(str::split_whitespace).collect()
        };
        match read(text.as_bytes(), None) {
            Ok(article) => {
                prop_assert!(dense(&normalize(&text)).contains(&dense(&article.body)));
                prop_assert!(!is_blank(&article.headline) && !article.headline.contains('\n'));
                prop_assert!(!is_blank(&article.body) && !article.body.contains("\n\n\n"));
                prop_assert_eq!(normalize(&article.body), article.body.as_str());
                prop_assert!(article.name.is_empty() || Name::parse(&article.name).is_some());
                let names = sources(&article).into_iter().chain(bylines(&article)).collect::<Vec<_>>();
                prop_assert!(names.iter().all(|name| !is_blank(name) && *name == name.trim()));
            }
            Err(Error::NotUtf8 { .. }) => prop_assert!(false, "a string is UTF-8"),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in bytes()) {
        let is_utf8 = std::str::from_utf8(&bytes).is_ok();
        let is_marked_wide = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
        match read(&bytes, None) {
            // A text with nulls is UTF-8 by its bytes and UTF-16 by its look; neither it nor invalid bytes are read.
            Err(Error::NotUtf8 { offset, .. }) => {
                prop_assert!(!is_marked_wide && offset < bytes.len());
                prop_assert!(!is_utf8 || bytes[offset] == 0);
            }
            Err(Error::Misencoded { .. }) => prop_assert!(is_marked_wide),
            Ok(_) | Err(_) => prop_assert!(is_utf8 || is_marked_wide),
        }
    }
}

/// Any bytes, and often those that detection looks for: nulls, marks, and letters between them.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), Just(0), Just(0xff), Just(0xfe), 0x20..0x7f_u8];
    let wide = text().prop_map(|text| text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    prop_oneof![proptest::collection::vec(byte, 0..64), wide]
}

#[test]
fn a_soft_return_ends_a_line_and_no_paragraph() {
    for mark in ['\u{b}', '\u{2028}'] {
        let read = draft(&format!(
            "Head{mark}line\n\nThe ministers{mark}met.\nThey spoke."
        ));
        assert_eq!(read.headline, "Head line");
        assert_eq!(read.body, "The ministers\nmet.\n\nThey spoke.");
    }
    let paged = draft("Headline\n\nOne.\u{c}\nTwo.\n\u{c}Three.\u{c}\n");
    assert_eq!(paged.body, "One.\n\nTwo.\n\nThree.");
    let cut = draft("Headline\n\nKasach\u{ad}\nstan bleibt, wie vor Immo-\nbilien.");
    assert_eq!(cut.body, "Kasachstan bleibt, wie vor Immobilien.");
}

#[test]
fn lines_under_the_headline_say_who_wrote_it_for_whom_and_when() {
    let read = draft(
        "Bank names a chief\nBy Ilse Maria Brandt, AP\nMarch 3, 2021\n\nNEW YORK — The bank named a chief.",
    );
    assert_eq!(bylines(&read), ["Ilse Maria Brandt"]);
    assert_eq!(sources(&read), ["AP"]);
    assert_eq!(read.published.unwrap().edtf, "2021-03-03");
    assert_eq!(read.body, "NEW YORK — The bank named a chief.");
    let read =
        draft("Titel\n\nVon Christian Hollmann, dpa\n\n3. März 2021\n\nBerlin (dpa) - Eins.");
    assert_eq!(
        (bylines(&read), sources(&read)),
        (vec!["Christian Hollmann"], vec!["dpa"])
    );
    assert_eq!(read.published.unwrap().edtf, "2021-03-03");
    let read = draft("Titre\nPar Jean Dupont avec AFP\n\nUn.");
    assert_eq!(
        (bylines(&read), sources(&read)),
        (vec!["Jean Dupont"], vec!["AFP"])
    );
}

#[test]
fn pasted_markup_is_warned_of() {
    assert_eq!(warnings("Headline\n\n<p>One.</p>").len(), 1);
    for markdown in [
        "# Headline\n\nOne.",
        "Headline\n\nOne **bold** word.",
        "H\n\nSee [this](https://x.org).",
    ] {
        assert!(warnings(markdown)[0].contains("Markdown"), "{markdown}");
    }
    for plain in [
        "Headline\n\nA #1 hit, 5 * 3, [sic] (see below), R&D.",
        "A\n\n- one\n- two",
    ] {
        assert!(warnings(plain).is_empty(), "{plain}");
    }
}
