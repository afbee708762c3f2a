//! Values that are written in a way of their own.

use std::str::FromStr;

use partition_agent_proto::{Distribution, DnsAnswer, Flap, Span};

/// `50%`, or `5%..50%` for a ramp. A beginning of `0` is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Ramped<T> {
    pub from: Option<T>,
    pub grows: bool,
    pub to: T,
}

impl<T: FromStr> FromStr for Ramped<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        let Some((from, to)) = text.split_once("..") else {
            return Ok(Self { from: None, grows: false, to: text.parse()? });
        };
        let nothing = matches!(from.trim(), "0" | "0%" | "0s" | "0ms");
        let from = if nothing { None } else { Some(from.parse()?) };
        Ok(Self { from, grows: true, to: to.parse()? })
    }
}

/// `30s/10s`: on and off.
pub fn flap(text: &str) -> Result<Flap, String> {
    let (on, off) = text.split_once('/').ok_or("write how long it is on and off as 30s/10s")?;
    let span = |text: &str| text.parse::<Span>().map_err(|error| error.to_string());
    Ok(Flap { on: span(on)?, off: span(off)? })
}

/// `1ms` or `1ms-5ms`.
pub fn slot(text: &str) -> Result<(Span, Option<Span>), String> {
    let span = |text: &str| text.parse::<Span>().map_err(|error| error.to_string());
    match text.split_once('-') {
        Some((min, max)) => Ok((span(min)?, Some(span(max)?))),
        None => Ok((span(text)?, None)),
    }
}

/// `nxdomain`, `servfail`, `timeout` or `delay:2s`.
pub fn dns_answer(text: &str) -> Result<DnsAnswer, String> {
    match text {
        "nxdomain" => Ok(DnsAnswer::Nxdomain),
        "servfail" => Ok(DnsAnswer::Servfail),
        "timeout" => Ok(DnsAnswer::Timeout),
        _ => match text.strip_prefix("delay:") {
            Some(latency) => {
                let latency = latency.parse::<Span>().map_err(|error| error.to_string())?;
                Ok(DnsAnswer::Delay { latency })
            }
            None => Err("write nxdomain, servfail, timeout or delay:2s".to_owned()),
        },
    }
}

/// The name of a distribution, or a file of numbers as tc has them in its `.dist` files: `#` begins a comment.
pub fn distribution(text: &str) -> Result<Distribution, String> {
    match text {
        "normal" => return Ok(Distribution::Normal),
        "pareto" => return Ok(Distribution::Pareto),
        "paretonormal" => return Ok(Distribution::Paretonormal),
        _ => {}
    }
    let choices = "write normal, pareto, paretonormal, or the path of a table";
    let table = std::fs::read_to_string(text).map_err(|error| format!("{choices} ({error})"))?;
    let words = table.lines().filter_map(|line| line.split('#').next()).flat_map(str::split_whitespace);
    let number = |word: &str| {
        word.parse::<i16>().map_err(|_| format!("`{word}` in {text} is not a number of 16 bits"))
    };
    words.map(number).collect::<Result<Vec<_>, _>>().map(Distribution::Table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use partition_agent_proto::Percent;

    #[test]
    fn ramps_flaps_slots_and_answers_are_read() {
        let ramp = "0%..50%".parse::<Ramped<Percent>>().unwrap();
        assert_eq!((ramp.from, ramp.grows, ramp.to.to_string().as_str()), (None, true, "50%"));
        assert!("5%..".parse::<Ramped<Percent>>().is_err());
        assert_eq!(flap("30s/10s").unwrap().to_string(), "30s on, 10s off");
        assert!(flap("30s").is_err());
        assert_eq!(slot("1ms-5ms").unwrap().1.unwrap().to_string(), "5ms");
        assert_eq!(dns_answer("delay:2s").unwrap().to_string(), "delay 2s");
        assert!(dns_answer("refused").is_err());
    }

    #[test]
    fn a_table_is_read_from_a_file() {
        let path = std::env::temp_dir().join(format!("pa-table-{}.dist", std::process::id()));
        std::fs::write(&path, "# a comment\n-8192 0 # another\n8192\n").unwrap();
        let read = distribution(path.to_str().unwrap());
        std::fs::write(&path, "99999").unwrap();
        let wrong = distribution(path.to_str().unwrap());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read.unwrap(), Distribution::Table(vec![-8192, 0, 8192]));
        assert!(wrong.unwrap_err().contains("99999"));
        assert!(distribution("/nonexistent").unwrap_err().contains("pareto"));
    }
}
