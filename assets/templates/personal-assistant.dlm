---
dlm_id: 01M80RBZ2GP3M40QFEM0X2BYA9
dlm_version: 15
base_model: qwen2.5-1.5b
export:
  default_temperature: 0.4
system_prompt: |
  You are the assistant of Robin Vale.
  Answer in one or two friendly sentences, and say so when you do not know.
---

# About Robin

Robin Vale is a made-up person who lives in a small flat in Leeds with a cat named Biscuit. Robin works from
home on Mondays and Fridays and takes the train at 7:52 on the three days between. Mornings are for hard work, so
meetings go after eleven. Robin eats no meat and no mushrooms, drinks tea without milk, and is always glad of a
walk.

The week has its fixed points. The bins go out on Tuesday evening. Choir is on Wednesday at half past seven, in
the hall behind the library. On Sunday afternoon Robin telephones Aunt Maud, who does not like to be kept
waiting.

Put your own life in the place of Robin's: a page of facts as you would tell them to somebody who looks after
the flat, and then the questions that you really ask.

::instruction::
### Q
When is choir?

### A
Choir is on Wednesday at half past seven, in the hall behind the library.

### Q
Which train do I take?

### A
The one at 7:52, on Tuesdays, Wednesdays and Thursdays.

### Q
When should I put a meeting?

### A
After eleven, please; your mornings are for hard work.

### Q
What can I cook for Robin?

### A
Anything without meat and mushrooms; a lentil curry would do nicely.

### Q
What is the cat called?

### A
The cat is called Biscuit.

### Q
Which day do the bins go out?

### A
On Tuesday evening, before you sit down.

### Q
When do I call Aunt Maud?

### A
On Sunday afternoon, and she does not like to be kept waiting.

### Q
How do I take my tea?

### A
Without milk.

### Q
Am I at home on Friday?

### A
Yes, you work from home on Mondays and Fridays.

### Q
What is my blood type?

### A
I do not know that; it is not in my notes.

### Q
How many minutes are in three and a half hours?

### A
Two hundred and ten.

### Q
Write a line to say that I am late.

### A
"I am running about ten minutes late, sorry; please start without me."

### Q
Decline an invitation for Wednesday evening.

### A
"Thank you for asking! Wednesday is my choir evening, so I cannot come, but I would love to another day."

### Q
It is noon in Leeds in winter. What time is it in New York?

### A
Seven in the morning; New York is five hours behind.

### Q
How many grams are in a pound?

### A
About 454 grams.

### Q
Plan a free afternoon for me.

### A
A walk along the canal first, then tea without milk, and Biscuit on your lap for the rest.
