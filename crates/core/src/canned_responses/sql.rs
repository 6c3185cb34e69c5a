//! Statements on canned responses.

use chatwarden_db::statements;

use super::CannedResponse;
use crate::ids::CannedResponseId;

statements! {
    /// $1 account
    LIST: CannedResponse = "canned_responses.list",
        "select id, account_id, short_code, content, created_at, updated_at from canned_responses
         where account_id = $1 order by id";
    /// $1 account, $2 short code, $3 but this one: the canned response that has the code
    HOLDER: (CannedResponseId,) = "canned_responses.holder",
        "select id from canned_responses where account_id = $1 and short_code = $2 and id <> $3";
    /// $1 account, $2 short code, $3 content, $4 now
    INSERT: CannedResponse = "canned_responses.insert",
        "insert into canned_responses (account_id, short_code, content, created_at, updated_at)
         values ($1, $2, $3, $4, $4) returning id, account_id, short_code, content, created_at, updated_at";
    /// $1 account, $2 canned response
    LOCK: CannedResponse = "canned_responses.lock",
        "select r.id, r.account_id, r.short_code, r.content, r.created_at, r.updated_at from canned_responses r
         where r.account_id = $1 and r.id = $2 @lock(r)";
    /// $1 account, $2 canned response, $3 short code, $4 content, $5 now
    UPDATE: () = "canned_responses.update",
        "update canned_responses set short_code = $3, content = $4, updated_at = $5 where account_id = $1 and id = $2";
    /// $1 account, $2 canned response
    DELETE: () = "canned_responses.delete", "delete from canned_responses where account_id = $1 and id = $2";
}
