//! Durable jobs, schedules and the outbox relay on the database.
