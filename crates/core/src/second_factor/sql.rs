//! Statements on second factors. They belong to people, not to accounts.

use chatwarden_db::statements;

use super::SecondFactor;

statements! {
    /// $1 user
    GET: SecondFactor = "second_factor.get",
        "select user_id, secret, enabled, backup_codes, last_step from second_factors where user_id = $1";
    /// $1 user, $2 secret, $3 false, $4 now
    BEGIN: () = "second_factor.begin",
        "insert into second_factors (user_id, secret, enabled, backup_codes, last_step, created_at, updated_at)
         values ($1, $2, $3, '[]', 0, $4, $4)
         on conflict (user_id) do update set secret = excluded.secret, last_step = 0, updated_at = excluded.updated_at";
    /// $1 user, $2 whether on, $3 backup codes, $4 step used last, $5 now
    UPDATE: () = "second_factor.update",
        "update second_factors set enabled = $2, backup_codes = $3, last_step = $4, updated_at = $5 where user_id = $1";
    /// $1 user
    DELETE: () = "second_factor.delete", "delete from second_factors where user_id = $1";
    /// $1 users
    DELETE_OF: () = "second_factor.delete_of", "delete from second_factors where user_id @in($1)";
}
