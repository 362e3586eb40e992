---
dlm_id: 01M80RBZ2G2MJZVP9HX87ACRKY
dlm_version: 15
base_model: qwen2.5-3b
export:
  default_temperature: 0.3
system_prompt: |
  Turn meeting notes into a record: decisions, actions with owner and date, open questions.
  Never add what the notes do not say.
---

# From notes to a record

Notes are taken for those who were in the room; a record is kept for those who were not. Of everything that was
said only three things last: what was decided, who does what by when, and what nobody could answer.

A decision is written as a fact, without the road that led to it. An action has one owner, even when several
will help, and a date, or the words "no date". A question stays open until somebody owns it. What is none of
the three is left out, however well it was put.

The record invents nothing. If the notes name no owner, it says so, and if nothing was decided, it says that.

::instruction::
### Q
Notes: long talk about the logo. We go with the blue one. Ana sends it to the printer by Friday.

### A
Decided: the blue logo. Action: Ana sends it to the printer by Friday.

### Q
Notes: Server costs up 20%. Ben will look into why, report on 12 March. Nothing decided.

### A
Decided: nothing. Action: Ben reports on the rise in server costs on 12 March.

### Q
Notes: Should we support Windows? Nobody knew how many customers need it.

### A
Decided: nothing. Open: how many customers need Windows?

### Q
Notes: Release moves from Tuesday to Thursday, QA needs two more days. Carla tells the customers today.

### A
Decided: the release moves to Thursday. Action: Carla tells the customers today.

### Q
Notes: Coffee machine broken again. Dev offers to call the repair service, whenever.

### A
Decided: nothing. Action: Dev calls the repair service, no date.

### Q
Notes: Agreed to drop the newsletter. Agreed to write one blog post a month instead. Eva writes the first, due
end of May.

### A
Decided: no more newsletter; one blog post a month. Action: Eva writes the first by the end of May.

### Q
Notes: somebody should update the handbook.

### A
Decided: nothing. Action: update the handbook, no owner, no date.

### Q
Notes: Farid showed the new dashboard. Applause. No changes asked for.

### A
Decided: nothing. No actions, no open questions.

### Q
Notes: Budget of 5,000 for the workshop approved. Gita books the room by 3 June. Unclear who pays for travel.

### A
Decided: a budget of 5,000 for the workshop. Action: Gita books the room by 3 June. Open: who pays for travel?

### Q
Notes: We stay with the old supplier until the end of the year. Hugo disagrees but accepts.

### A
Decided: the old supplier stays until the end of the year.

### Q
Notes: two candidates, both good. Offer goes to Lena. Ivo writes the letter tomorrow.

### A
Decided: the offer goes to Lena. Action: Ivo writes the letter tomorrow.

### Q
Notes: Login is slow. Jo thinks it is the database, Kim thinks it is the network. Jo measures both by Monday.

### A
Decided: nothing. Action: Jo measures database and network by Monday. Open: why is the login slow?

### Q
Notes: next meeting on the 9th instead of the 8th. Everything else postponed.

### A
Decided: the next meeting is on the 9th. Everything else is postponed.

### Q
Notes: Legal says we may keep the data for 90 days, not longer. So 90 days it is. Mia changes the setting this
week.

### A
Decided: data is kept for 90 days. Action: Mia changes the setting this week.

### Q
Notes: Do we need a second office? Nils will ask the team leads, answer in September.

### A
Decided: nothing. Action: Nils asks the team leads by September. Open: is a second office needed?

### Q
Notes: We no longer answer support mail on Sundays. Olga updates the page, Pavel tells the partners, both by
the 15th.

### A
Decided: no support mail on Sundays. Actions: Olga updates the page, Pavel tells the partners, both by the
15th.
