-- What the outside writes to: the address of an e-mail channel, lower-cased, or the number of an SMS
-- channel. No two channels of a type have the same one, whatever their accounts.
alter table channels add column address text;
create unique index channels_channel_type_address_key on channels (channel_type, address);
