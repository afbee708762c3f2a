//! Weekly hours: `Mon-Fri 09:00-17:00`, in a time zone, summer time and all.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

/// Hours of some days of every week. They begin on these days, and may end on the next: `Fri 22:00-06:00`.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    text: String,
    days: Vec<Weekday>,
    start: Time,
    /// Not included. None: midnight.
    end: Option<Time>,
}

/// A name of the time zone database: `Europe/Berlin`.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl Default for Zone {
    fn default() -> Self {
        Self { name: "UTC".to_owned(), zone: TimeZone::UTC }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Zone {
    /// An instant, for people.
    pub(super) fn tell(&self, instant: Timestamp) -> String {
        instant.to_zoned(self.zone.clone()).strftime("%a %Y-%m-%d %H:%M").to_string()
    }
}

impl Serialize for Zone {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name == "UTC" {
            return Ok(Self::default());
        }
        let wrong = |error| {
            serde::de::Error::custom(format!(
                "`{name}` is no time zone here: {error}; write it as Europe/Berlin or UTC (the package tzdata has them)"
            ))
        };
        let zone = TimeZone::get(&name).map_err(wrong)?;
        Ok(Self { name, zone })
    }
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` are no hours: write them as `Mon-Fri 09:00-17:00` or `Sat,Sun 00:00-24:00`");
        let (days, hours) = text.split_once(' ').ok_or_else(wrong)?;
        let (start, end) = hours.split_once('-').ok_or_else(wrong)?;
        let days =
            days.split(',').map(|part| range(part).ok_or_else(wrong)).collect::<Result<Vec<_>, _>>()?;
        let start = time(start).ok_or_else(wrong)?;
        let end = if end == "24:00" { None } else { Some(time(end).ok_or_else(wrong)?) };
        if end == Some(start) {
            return Err(format!("`{text}` end when they begin: a whole day is 00:00-24:00"));
        }
        Ok(Self { text: text.to_owned(), days: days.concat(), start, end })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Window {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// `Mon`, or `Fri-Mon`.
fn range(text: &str) -> Option<Vec<Weekday>> {
    let day = |name: &str| DAYS.iter().position(|(day, _)| day.eq_ignore_ascii_case(name));
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (day(first)?, day(last)?),
        None => (day(text)?, day(text)?),
    };
    let length = (last + DAYS.len() - first) % DAYS.len();
    Some(DAYS.iter().cycle().skip(first).take(length + 1).map(|(_, day)| *day).collect())
}

fn time(text: &str) -> Option<Time> {
    let (hour, minute) =
        text.split_once(':').filter(|(hour, minute)| hour.len() == 2 && minute.len() == 2)?;
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

impl Window {
    /// Until when it lasts, if it is open at this instant.
    fn open_until(&self, zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
        let today = at.to_zoned(zone.clone()).date();
        // The one of yesterday may last beyond midnight.
        let begins = [Some(today), today.yesterday().ok()].into_iter().flatten();
        let begins = begins.filter(|date| self.days.contains(&date.weekday()));
        let until = |date: jiff::civil::Date| {
            let overnight = self.end.is_none_or(|end| end < self.start);
            let last = if overnight { date.checked_add(1.day()).ok()? } else { date };
            let end = last.to_datetime(self.end.unwrap_or(Time::midnight()));
            let instant = |civil: jiff::civil::DateTime| zone.to_timestamp(civil).ok();
            let (start, end) = (instant(date.to_datetime(self.start))?, instant(end)?);
            (start <= at && at < end).then_some(end)
        };
        begins.filter_map(until).max()
    }
}

/// Whether all of the time between the two lies within the windows, one after the other.
pub(super) fn allow(windows: &[Window], zone: &Zone, start: Timestamp, end: Timestamp) -> bool {
    if windows.is_empty() {
        return true;
    }
    let mut covered = start;
    while covered < end {
        // Each is later than what was covered, by half an hour and more but for the last.
        let until = windows.iter().filter_map(|window| window.open_until(&zone.zone, covered)).max();
        let Some(until) = until else { return false };
        covered = until;
    }
    true
}
