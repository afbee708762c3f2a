//! What is measured of a stream, and within which bounds it has to be.

use std::time::Duration;

use harness::stream::Stream;

/// What a row of the table claims.
pub struct Check {
    pub what: What,
    pub bound: Bound,
    pub why: &'static str,
}

#[derive(Debug, Clone, Copy)]
pub enum What {
    /// The share of datagrams that never arrive.
    Lost,
    /// How many are lost one after the other, in the mean.
    LostInARow,
    /// The share of arrivals that took less than this many milliseconds.
    Within(f64),
    /// Milliseconds of the fastest.
    Least,
    /// Milliseconds.
    Median,
    /// The share of arrivals that came after one that was sent later.
    Overtaken,
    /// The share that arrives twice.
    Twice,
    /// The share that the receiver's kernel refuses for a wrong checksum.
    BadChecksum,
    /// Megabits per second of whole frames, from the first that was sent to the last that arrived.
    Speed,
    /// Milliseconds from one bunch of arrivals to the next, in the mean; two bunches have at least 20 ms between them.
    Bunches,
    /// Milliseconds from the first that was sent to the last that arrived.
    All,
}

#[derive(Debug, Clone, Copy)]
pub enum Bound {
    /// A chance between the two, and five standard deviations to each side: `sqrt(p(1-p)/n)`, times the root of the last
    /// number where the fates of neighbours hang together. By chance once in 1.7 million.
    Chance(f64, f64, f64),
    /// The mean of a geometric distribution, and five standard deviations to each side: `sqrt(m(m-1)/n)`.
    Geometric(f64),
    Between(f64, f64),
}

/// A value, and of how many samples it is the mean.
pub struct Measured {
    pub value: f64,
    samples: f64,
}

impl Bound {
    pub fn limits(self, measured: &Measured) -> (f64, f64) {
        let samples = measured.samples.max(1.0);
        match self {
            Self::Chance(low, high, together) => {
                let five_sigma = |p: f64| 5.0 * (p * (1.0 - p) * together / samples).sqrt();
                (low - five_sigma(low), high + five_sigma(high))
            }
            Self::Geometric(mean) => {
                let five_sigma = 5.0 * (mean * (mean - 1.0) / samples).sqrt();
                (mean - five_sigma, mean + five_sigma)
            }
            Self::Between(low, high) => (low, high),
        }
    }
}

impl What {
    /// Whether a value beyond these limits says no more than that packets were late.
    pub fn is_late(self, value: f64, low: f64, high: f64) -> bool {
        match self {
            Self::Within(_) | Self::Speed | Self::Overtaken => value < low,
            Self::Least | Self::Median | Self::Bunches | Self::All => value > high,
            Self::Lost | Self::LostInARow | Self::Twice | Self::BadChecksum => false,
        }
    }

    pub fn measure(self, stream: &Stream) -> Measured {
        let fates = stream.fates();
        let (all, arrived) = (number(fates.len()), number(stream.arrived.len()));
        let lost = number(fates.iter().filter(|arrived| !**arrived).count());
        let of = |part: f64, samples: f64| Measured { value: part / samples.max(1.0), samples };
        let one = |value: f64| Measured { value, samples: 1.0 };
        match self {
            Self::Lost => of(lost, all),
            Self::LostInARow => {
                let begins = |(nth, arrived): (usize, &bool)| !arrived && (nth == 0 || fates[nth - 1]);
                of(lost, number(fates.iter().enumerate().filter(|fate| begins(*fate)).count()))
            }
            Self::Within(limit) => {
                let within = stream.arrived.iter().filter(|arrival| millis(arrival.took) < limit);
                of(number(within.count()), arrived)
            }
            Self::Least => one(times(stream).first().copied().unwrap_or(f64::NAN)),
            Self::Median => one(times(stream).get(stream.arrived.len() / 2).copied().unwrap_or(f64::NAN)),
            Self::Overtaken => {
                let mut latest = 0;
                let overtaken = stream.arrived.iter().filter(|arrival| {
                    latest = latest.max(arrival.number);
                    arrival.number < latest
                });
                of(number(overtaken.count()), arrived)
            }
            Self::Twice => of(arrived - (all - lost), all),
            Self::BadChecksum => of(number(usize::try_from(stream.checksum_errors).expect("a count")), all),
            Self::Speed => {
                // Ethernet, IP and UDP; the longer header of IPv6 makes a frame of 1,000 bytes 2% longer.
                let bits = (all - lost) * number(stream.pace.length + 14 + 20 + 8) * 8.0;
                one(bits / all_millis(stream) / 1e3)
            }
            Self::Bunches => {
                let mut begins = stream.arrived.windows(2).filter_map(|pair| {
                    (pair[1].at.saturating_duration_since(pair[0].at) >= Duration::from_millis(20))
                        .then_some(pair[1].at)
                });
                let first = begins.next();
                let (gaps, last) = begins.fold((0, first), |(gaps, _), at| (gaps + 1, Some(at)));
                let long = first.zip(last).map_or(f64::NAN, |(first, last)| millis(last - first));
                Measured { value: long / number(gaps), samples: number(gaps) }
            }
            Self::All => one(all_millis(stream)),
        }
    }
}

/// Milliseconds of every arrival, the fastest first.
fn times(stream: &Stream) -> Vec<f64> {
    let mut times = stream.arrived.iter().map(|arrival| millis(arrival.took)).collect::<Vec<_>>();
    times.sort_unstable_by(f64::total_cmp);
    times
}

fn all_millis(stream: &Stream) -> f64 {
    let last = stream.arrived.last().map(|arrival| arrival.at - stream.sent[0]);
    last.map_or(f64::NAN, millis)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Counts here end far below 2^52, from where on a double has gaps.
#[allow(clippy::cast_precision_loss)]
fn number(count: usize) -> f64 {
    count as f64
}
