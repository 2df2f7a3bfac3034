//! Whole on one device, or gone.
use super::*;

/// An instance of two tensors that moves as its test says.
struct Pair {
    at: [Device; 2],
    /// How the next moves go: those of an empty list go well.
    moves: Vec<Way>,
    offloaded: bool,
}

#[derive(Clone, Copy)]
enum Way {
    /// Only the first tensor moves.
    Half,
    /// Only the first, and then it fails.
    Fails,
    Panics,
    Nothing,
}

const CARD: Device = Device::Cuda(0);

impl Movable for Pair {
    fn move_to(&mut self, device: Device) -> Result<()> {
        let way = if self.moves.is_empty() { None } else { Some(self.moves.remove(0)) };
        if !matches!(way, Some(Way::Nothing)) {
            self.at[0] = device;
        }
        match way {
            Some(Way::Half | Way::Nothing) => {}
            Some(Way::Fails) => return Err(WorkerError::out_of_memory()),
            Some(Way::Panics) => panic!("no such device"),
            None => self.at[1] = device,
        }
        Ok(())
    }

    fn bytes_by_device(&self) -> Vec<(Device, u64)> {
        self.at.map(|device| (device, 4)).to_vec()
    }

    fn is_movable(&self) -> bool {
        !self.offloaded
    }
}

fn pair(moves: &[Way]) -> InstanceValue {
    Arc::new(Pair { at: [CARD; 2], moves: moves.to_vec(), offloaded: false })
}

fn demote(value: &mut InstanceValue) -> Relocation {
    relocate(value, crate::macro_support::movable_instance::<Pair>, CARD, Device::Cpu)
}

fn at(value: &InstanceValue) -> [Device; 2] {
    value.downcast_ref::<Pair>().expect("a pair").at
}

#[test]
fn m9_7_every_tensor_is_verified_and_stragglers_are_repaired() {
    for moves in [vec![], vec![Way::Half]] {
        let mut value = pair(&moves);
        assert!(matches!(demote(&mut value), Relocation::Moved(8)));
        assert_eq!(at(&value), [Device::Cpu; 2]);
    }
}

#[test]
fn m9_7_what_does_not_move_whole_is_rolled_back() {
    for moves in [vec![Way::Half, Way::Half], vec![Way::Fails], vec![Way::Half, Way::Fails], vec![Way::Panics]] {
        let mut value = pair(&moves);
        assert!(matches!(demote(&mut value), Relocation::Stayed(_)));
        assert_eq!(at(&value), [CARD; 2]);
    }
    let Relocation::Stayed(error) = demote(&mut pair(&[Way::Fails])) else { panic!("stays") };
    assert!(error.is_out_of_memory(), "the first error counts: {error}");
}

#[test]
fn m9_7_what_cannot_be_rolled_back_is_lost_and_never_booked_half_moved() {
    assert!(matches!(demote(&mut pair(&[Way::Fails, Way::Fails])), Relocation::Lost(_)));
    assert!(matches!(demote(&mut pair(&[Way::Half, Way::Half, Way::Nothing, Way::Nothing])), Relocation::Lost(_)));
}

#[test]
fn m9_4_what_is_offloaded_shared_or_of_another_type_does_not_move() {
    let mut offloaded: InstanceValue = Arc::new(Pair { at: [CARD; 2], moves: Vec::new(), offloaded: true });
    assert!(matches!(demote(&mut offloaded), Relocation::Refused));
    let mut shared = pair(&[]);
    let user = shared.clone();
    assert!(matches!(demote(&mut shared), Relocation::Refused));
    assert_eq!(at(&user), [CARD; 2], "a refusal changes nothing");
    let mut other: InstanceValue = Arc::new(7_u8);
    assert!(matches!(demote(&mut other), Relocation::Refused));
}
