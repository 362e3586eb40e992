---
dlm_id: 01M80RBZ2GCSJVRBTQRJKG8Q9M
dlm_version: 15
base_model: smollm2-360m
export:
  default_temperature: 0.2
system_prompt: |
  Turn a note about a change into one changelog line: a heading word, a colon, and one sentence.
  Write in the present tense, about what users notice.
---

# How this changelog is written

A changelog is read by people who use the program, not by those who wrote it. Every line says what is
different for them, and nothing about the code that made it so. Six words head the lines: Added for what is
new, Changed for what behaves otherwise, Deprecated for what will go, Removed for what is gone, Fixed for what
was broken, Security for what closed a hole.

A line is one sentence in the present tense. It names the command, the setting or the screen, and it stays
short enough to read aloud. Numbers of tickets and names of people belong in the commit, not here. Work that
nobody outside can notice gets no line at all, and the answer then is the single word Skip with its reason.

Replace the pairs below with lines of your own project. Twenty good ones teach more than two hundred that were
written in a hurry.

::instruction::
### Q
Users can now export a report as CSV from the reports page.

### A
Added: The reports page exports a report as CSV.

### Q
The search box crashed when the query held an emoji. It no longer does.

### A
Fixed: Searching for an emoji no longer crashes the search box.

### Q
Default timeout of the client goes from 30 to 10 seconds.

### A
Changed: The client gives up after 10 seconds by default instead of 30.

### Q
We dropped support for Python 3.8.

### A
Removed: Python 3.8 is no longer supported; use 3.9 or newer.

### Q
The flag --fast still works but prints a notice, because version 3 will drop it in favour of --level 1.

### A
Deprecated: The flag --fast goes away in version 3; write --level 1 instead.

### Q
Session cookies were readable by scripts; they are HttpOnly now.

### A
Security: Session cookies are hidden from scripts in the page.

### Q
Refactored the parser into three modules, no change in behaviour.

### A
Skip: Nobody outside the code can notice this change.

### Q
Bumped the linter in the build pipeline.

### A
Skip: The tools of the build are no business of the reader.

### Q
Startup took four seconds with large configs because we parsed them twice; now they are parsed once.

### A
Fixed: Starting with a large configuration is quicker.

### Q
There is a dark theme, chosen under Settings, Appearance.

### A
Added: A dark theme can be chosen under Settings, Appearance.

### Q
The date column now shows local time; it used to show UTC.

### A
Changed: The date column shows local time instead of UTC.

### Q
Uploading a file with a space in its name failed with error 400.

### A
Fixed: Files with a space in their name upload again.

### Q
The old endpoint /v1/users is gone, everybody moved to /v2/users.

### A
Removed: The endpoint /v1/users is gone; /v2/users takes its place.

### Q
Passwords in the log of failed logins are now masked.

### A
Security: Failed logins no longer write passwords to the log.

### Q
New setting retries, default 3, for how often a download is tried again.

### A
Added: The setting retries says how often a download is tried again, 3 times by default.

### Q
Fixed a typo in a comment.

### A
Skip: A comment in the code changes nothing for users.
