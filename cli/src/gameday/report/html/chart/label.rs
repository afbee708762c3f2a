//! Texts in a chart: how wide they are, and where they do not overlap.

/// Pixels of a letter's height.
pub const SIZE: f64 = 12.0;

/// How wide a text is at most, in pixels. Fonts differ, so this is of a wide one (DejaVu Sans).
pub fn width(text: &str) -> f64 {
    let em = |c: char| match c {
        'i' | 'j' | 'l' | 'f' | 't' | 'r' | ' ' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | '-' | '('
        | ')' => 0.42,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '+' | '=' | '<' | '>' | '~' => 0.99,
        'A'..='Z' => 0.78,
        ' '..='~' => 0.64,
        '\u{a0}'..'\u{1100}' => 0.85,
        _ => 1.25,
    };
    text.chars().map(em).sum::<f64>() * SIZE
}

/// As much of it as fits, with an ellipsis where that is not all.
pub fn fitted(text: &str, room: f64) -> String {
    let one_line = text.replace(['\n', '\t'], " ");
    if width(&one_line) <= room {
        return one_line;
    }
    let mut fits = String::new();
    for c in one_line.chars() {
        fits.push(c);
        if width(&fits) + width("…") > room {
            fits.pop();
            break;
        }
    }
    format!("{}…", fits.trim_end())
}

/// Things of which each has a number and a place, those together that are too close for a number of their own.
#[derive(Debug, PartialEq)]
pub struct Cluster {
    pub first: usize,
    pub last: usize,
    /// Of the first and of the last.
    pub from: f64,
    pub to: f64,
}

impl Cluster {
    pub fn text(&self) -> String {
        if self.first == self.last {
            self.first.to_string()
        } else {
            format!("{}–{}", self.first, self.last)
        }
    }

    /// The middle of its text, which stays within these.
    pub fn middle(&self, least: f64, most: f64) -> f64 {
        let half = width(&self.text()) / 2.0;
        f64::midpoint(self.from, self.to).max(least + half).min(most - half)
    }
}

/// Of places in their order, numbered from 1. The texts of the clusters do not overlap, and stay within these.
pub fn clusters(places: &[f64], least: f64, most: f64) -> Vec<Cluster> {
    const APART: f64 = 5.0;
    let mut clusters: Vec<Cluster> = Vec::new();
    for (nth, place) in places.iter().enumerate() {
        let mut last = Cluster { first: nth + 1, last: nth + 1, from: *place, to: *place };
        while let Some(before) = clusters.pop() {
            let end = before.middle(least, most) + width(&before.text()) / 2.0;
            let begin = last.middle(least, most) - width(&last.text()) / 2.0;
            if end + APART <= begin {
                clusters.push(before);
                break;
            }
            last = Cluster { first: before.first, last: last.last, from: before.from, to: last.to };
        }
        clusters.push(last);
    }
    clusters
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_does_not_fit_has_an_ellipsis() {
        assert_eq!(fitted("redis", 100.0), "redis");
        assert_eq!(fitted("a\nb", 100.0), "a b");
        let short = fitted("a-very-long-name-of-a-service-in-a-region", 100.0);
        assert!(short.ends_with('…') && width(&short) <= 100.0, "{short}");
        assert_eq!(fitted("abc", 0.0), "…");
    }

    proptest! {
        #[test]
        fn numbers_never_overlap_and_none_is_left_out(
            mut places in prop::collection::vec(0.0..700.0_f64, 1..300)
        ) {
            places.sort_by(f64::total_cmp);
            let clusters = clusters(&places, 0.0, 700.0);
            let mut next = 1;
            let mut right = f64::MIN;
            for cluster in &clusters {
                prop_assert_eq!(cluster.first, next);
                next = cluster.last + 1;
                let (middle, half) = (cluster.middle(0.0, 700.0), width(&cluster.text()) / 2.0);
                prop_assert!(middle - half > right && middle - half >= -0.01 && middle + half <= 700.01);
                right = middle + half;
            }
            prop_assert_eq!(next, places.len() + 1);
        }
    }
}
