//! Reproducible random choices, and random mutations of inputs.

const MUTATIONS_MAX: u64 = 4;
/// Extreme lengths and numbers, encoded as bincode's varints.
const EXTREMES: [&[u8]; 9] = [
    &[0],
    &[250],
    &[251, 251, 0],
    &[251, 255, 255],
    &[252, 0, 0, 1, 0],
    &[252, 255, 255, 255, 255],
    &[253, 0, 0, 0, 0, 1, 0, 0, 0],
    &[253, 255, 255, 255, 255, 255, 255, 255, 127],
    &[253, 255, 255, 255, 255, 255, 255, 255, 255],
];

/// SplitMix64: the same seed gives the same inputs.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `end`, or 0 if `end` is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % (end as u64).max(1)) as usize
    }

    pub(super) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Returns one of the seeds with one to four mutations.
pub(super) fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.next() % MUTATIONS_MAX {
        mutate(&mut input, seeds, random);
    }
    input
}

fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len());
    let end = (at + 1 + random.below(16)).min(input.len());
    match random.below(9) {
        _ if input.is_empty() => input.push(random.next() as u8),
        0 => input[at] ^= 1 << random.below(8),
        1 => input[at] = random.next() as u8,
        2 => input.truncate(at),
        3 => drop(input.drain(at..end)),
        4 => input.insert(at, random.next() as u8),
        5 => drop(input.splice(at..=at, random.pick(&EXTREMES).iter().copied())),
        6 => {
            let again = input[at..end].to_vec();
            drop(input.splice(at..at, again));
        }
        7 => {
            let other = &seeds[random.below(seeds.len())];
            input.truncate(at);
            input.extend(&other[random.below(other.len())..]);
        }
        _ => {
            let step = if random.next() & 1 == 0 { 1 } else { u8::MAX };
            input[at] = input[at].wrapping_add(step);
        }
    }
}
