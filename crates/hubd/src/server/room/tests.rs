use super::*;

async fn enter(room: &Arc<Room>, address: &str) -> Option<Place> {
    room.enter(address.parse().unwrap(), room.free().await?)
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_others_are_not_kept_out() {
    let room = Room::new(100, 2);
    let first = enter(&room, "192.0.2.1").await.unwrap();
    let _second = enter(&room, "::ffff:192.0.2.1").await.unwrap();
    assert!(enter(&room, "192.0.2.1").await.is_none());
    let _other = enter(&room, "192.0.2.2").await.unwrap();
    drop(first);
    assert!(enter(&room, "192.0.2.1").await.is_some());
    let held = [enter(&room, "2001:db8::1").await, enter(&room, "2001:db8::2").await];
    assert!(held.iter().all(Option::is_some));
    assert!(enter(&room, "2001:db8::3").await.is_none(), "one network is one client");
    drop(held);
    let local = [enter(&room, "127.0.0.1").await, enter(&room, "127.0.0.1").await, enter(&room, "::1").await];
    assert!(local.iter().all(Option::is_some) && enter(&room, "127.0.0.1").await.is_some());
}

#[tokio::test]
async fn what_was_refused_leaves_room_and_what_is_gone_leaves_no_count() {
    let room = Room::new(2, 1);
    let one = enter(&room, "192.0.2.1").await.unwrap();
    assert!(enter(&room, "192.0.2.1").await.is_none());
    let two = enter(&room, "192.0.2.2").await.unwrap();
    assert_eq!(room.all.available_permits(), 0);
    drop((one, two));
    assert_eq!((room.all.available_permits(), room.counts.lock().len()), (2, 0));
}
