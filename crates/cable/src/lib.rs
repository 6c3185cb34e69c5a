//! ActionCable: frames, subscriptions, hub, bus, presence.
