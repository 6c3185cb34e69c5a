//! Statements on saved filters.

use chatwarden_db::statements;

use super::CustomFilter;

macro_rules! filter_columns {
    () => {
        "f.id, f.name, f.filter_type, f.query, f.created_at, f.updated_at from custom_filters f "
    };
}

statements! {
    /// $1 account, $2 user, $3 kind
    LIST: CustomFilter = "custom_filters.list", (concat!("select ", filter_columns!(),
        "where f.account_id = $1 and f.user_id = $2 and f.filter_type = $3 order by f.id"));
    /// $1 account, $2 user, $3 filter
    FIND: CustomFilter = "custom_filters.find", (concat!("select ", filter_columns!(),
        "where f.account_id = $1 and f.user_id = $2 and f.id = $3"));
    /// $1 account, $2 user, $3 filter
    LOCK: CustomFilter = "custom_filters.lock", (concat!("select ", filter_columns!(),
        "where f.account_id = $1 and f.user_id = $2 and f.id = $3 @lock(f)"));
    /// $1 account, $2 user
    COUNT: (i64,) = "custom_filters.count",
        "select count(*) from custom_filters where account_id = $1 and user_id = $2";
    /// $1 account, $2 user, $3 kind, $4 name, $5 query, $6 now
    INSERT: (i64,) = "custom_filters.insert",
        "insert into custom_filters (account_id, user_id, filter_type, name, query, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $6) returning id";
    /// $1 account, $2 user, $3 filter, $4 kind, $5 name, $6 query, $7 now
    UPDATE: () = "custom_filters.update",
        "update custom_filters set filter_type = $4, name = $5, query = $6, updated_at = $7
         where account_id = $1 and user_id = $2 and id = $3";
    /// $1 account, $2 user, $3 filter
    DELETE: () = "custom_filters.delete", "delete from custom_filters where account_id = $1 and user_id = $2 and id = $3";
}
