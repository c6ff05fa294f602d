//! The faults of a run, and what each does to the simulated world.

use super::release::Release;
use rand::Rng;
use rand::rngs::StdRng;

use super::disk::PowerCut;
use super::network::Spell;
use super::script::Fault;
use super::tally::Phase;
use super::world::{Event, HOUR_MS, MINUTE_MS, World};

impl World {
    pub(super) fn inject_fault(&mut self, phone: usize, fault: Fault, rng: &mut StdRng) {
        let phase = self.phase(phone);
        let cut = PowerCut { after_commits: rng.random_range(0..12), takes: rng.random_bool(0.5) };
        let this = &mut self.phones[phone];
        match fault {
            Fault::Loss | Fault::Twice | Fault::Late | Fault::CutUp | Fault::CutDown | Fault::Cut => {
                let until_ms = self.now_ms + rng.random_range(MINUTE_MS..8 * HOUR_MS);
                this.spells.push(Spell { until_ms, fault });
                return;
            }
            Fault::PhoneCrash => {
                this.disk.cut_power(cut);
                this.disk.cut_next(next_cut(rng));
                return;
            }
            Fault::ServerCrash => {
                self.site.disk.cut_power(PowerCut { after_commits: cut.after_commits * 3, ..cut });
                self.site.disk.cut_next(next_cut(rng));
                return;
            }
            Fault::PhoneFull => {
                this.disk.set_full(true);
                self.after(rng.random_range(MINUTE_MS..4 * HOUR_MS), Event::Room { phone });
            }
            Fault::ServerFull => {
                self.site.disk.set_full(true);
                self.after(rng.random_range(MINUTE_MS..HOUR_MS), Event::ServerRoom);
            }
            Fault::Jump => {
                let far_ms = if rng.random_bool(0.3) { 40 * 24 * HOUR_MS } else { 2 * HOUR_MS };
                this.jump(rng.random_range(-far_ms..far_ms));
            }
            Fault::Drift => this.drift(rng.random_range(-2_000..2_000)),
            Fault::ServerJump => self.site.jump(rng.random_range(-10 * MINUTE_MS..10 * MINUTE_MS)),
            Fault::Backup => {
                let done = this.back_up();
                self.check(done.is_ok(), || format!("no backup of phone {phone}: {done:?}"));
            }
            Fault::Restore => {
                let done = this.restore();
                self.check(done.is_ok(), || format!("phone {phone} is not restored: {done:?}"));
                if !matches!(done, Ok(true)) {
                    return;
                }
                self.boot(phone);
            }
            Fault::Copy => {
                let chance = rng.random();
                let home = self.home_of(self.phones.len());
                let Ok(Some(copy)) = self.phones[phone].copy(home, chance) else { return };
                self.phones.push(copy);
                self.boot(self.phones.len() - 1);
            }
            Fault::ServerBackup => self.site.back_up(),
            Fault::ServerRestore => self.restore_server(),
            Fault::AppUpdate => {
                let Some(release) = later(this.release, rng) else { return };
                this.disk.cut_next(next_cut(rng));
                self.update_app(phone, release);
            }
            Fault::ServerUpdate => {
                let Some(release) = later(self.site.release, rng) else { return };
                self.site.disk.cut_next(next_cut(rng));
                self.update_server(release);
            }
        }
        self.tally.note(fault, phase);
    }

    pub(super) fn phase(&self, phone: usize) -> Phase {
        let underway = self.phones[phone].underway.as_ref();
        underway.and_then(|underway| self.links.get(&underway.link)).map_or(Phase::Idle, |link| link.phase)
    }
}

/// Returns a power cut soon after the next start, in three of ten cases.
fn next_cut(rng: &mut StdRng) -> Option<PowerCut> {
    let cut = PowerCut { after_commits: rng.random_range(0..6), takes: rng.random_bool(0.5) };
    rng.random_bool(0.3).then_some(cut)
}

/// Returns a random later release, if there is one.
fn later(than: Release, rng: &mut StdRng) -> Option<Release> {
    let later: Vec<Release> = Release::all().filter(|release| *release > than).collect();
    (!later.is_empty()).then(|| later[rng.random_range(0..later.len())])
}
