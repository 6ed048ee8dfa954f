-- Answers are not remembered.
CREATE RULE forgetful AS ON INSERT TO requests DO INSTEAD NOTHING;
