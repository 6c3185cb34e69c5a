//! HTTP: router, actors, wire types.
