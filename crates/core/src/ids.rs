//! Ids are distinct types: a conversation's row id is not the number its account shows.

chatwarden_db::id! {
    /// A tenant.
    AccountId,
    /// A person.
    UserId,
    /// A person's membership of an account.
    AccountUserId,
    /// A sign-in.
    SessionId,
    /// An application of the platform API.
    PlatformAppId,
    /// An agent bot.
    AgentBotId,
    /// An inbox.
    InboxId,
    /// An inbox's channel.
    ChannelId,
    /// A contact.
    ContactId,
    /// A contact's presence in an inbox.
    ContactInboxId,
    /// A conversation's row; clients know it as `primary_actor_id` only.
    ConversationId,
    /// The number of a conversation within its account: what clients call its `id`.
    DisplayId,
    /// A message.
    MessageId,
    /// A team.
    TeamId,
    /// An assignment policy.
    AssignmentPolicyId,
    /// A label.
    LabelId,
    /// A dashboard app.
    DashboardAppId,
    /// A note on a contact.
    NoteId,
    /// The definition of a custom attribute.
    CustomAttributeDefinitionId,
    /// A saved filter.
    CustomFilterId,
    /// A canned response.
    CannedResponseId,
    /// A notification.
    NotificationId,
    /// A stored file.
    BlobId,
    /// Something that a message carries.
    AttachmentId,
}
