//! stub
pub mod outbox {
    //! stub
    use chatwarden_db::{DbError, WriteTx};
    /// e
    #[derive(Debug, Clone)]
    pub struct Entry {
        /// e
        pub account_id: i64,
        /// e
        pub event: String,
        /// e
        pub streams: Vec<String>,
        /// e
        pub except: Option<String>,
        /// e
        pub message: String,
        /// e
        pub context: serde_json::Value,
    }
    /// e
    #[derive(Debug, Clone)]
    pub struct Stored {
        /// e
        pub id: i64,
        /// e
        pub entry: Entry,
    }
    /// e
    pub fn push(_tx: &mut WriteTx<'_>, _e: Entry) {}
    /// e
    pub async fn flush(_tx: &mut WriteTx<'_>) -> Result<Vec<Stored>, DbError> {
        Ok(vec![])
    }
}
