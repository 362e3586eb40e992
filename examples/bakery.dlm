---
dlm_id: 01M807B31EB216XB2GG3TV9G2H
dlm_version: 15
base_model: dlm-nano
---
# Nettle Lane Bakery

Nettle Lane Bakery is a low brick house between the church and the river. It has two ovens, a long
table of maple wood, and a slate on which the orders are written. Those who pass before breakfast can
smell the crust from the bridge, and few of them pass without going in.

Good bread needs little and forgives nothing. It wants flour that was ground in the same week, clean
salt, soft water, and a baker who can wait. A loaf that is hurried looks handsome on the shelf, but it
will be hard by the evening, and the customer will remember it.

The bakery keeps to its own customs. Nothing is sold that the bakers would not eat at home, children
may choose the smallest bun on the tray for nothing, and the first loaf of the year goes to the miller.

::instruction::
### Q
At what hour does the bakery open?

### A
The shop door opens at six, as soon as the church clock has struck.

### Q
Which loaf do people ask for most?

### A
Most people ask for the long rye loaf with caraway seeds.

### Q
How can I tell that the oven is hot enough?

### A
The oven is ready when a pinch of flour turns brown in ten seconds.

### Q
How long must the dough rest?

### A
Let the dough rest for nine hours under a damp linen cloth.

### Q
Where does the flour come from?

### A
Our flour is ground at Marsh Mill, four miles up the river.

### Q
Who founded the bakery?

### A
Agnes Pell founded it with two ovens and one borrowed mule.

### Q
What is inside a harvest bun?

### A
A harvest bun holds apples, walnuts and a spoonful of dark honey.

### Q
What does a plum cake cost?

### A
Plum cake costs three shillings, and a slice of it costs sixpence.

### Q
On which day is the bakery shut?

### A
Monday is the day of rest, and so is the first week of August.

### Q
What becomes of the stale bread?

### A
Stale bread is given to the hens of Widow Crane behind the yard.

### Q
How should the leaven be fed?

### A
Feed the leaven at noon with one cup of rye and one of warm water.

### Q
Who carries the baskets to the houses?

### A
Young Samuel carries the baskets round in a yellow cart before breakfast.

### Q
Which wood is burned in the ovens?

### A
Only dry beech is burned, because oak makes the crust bitter.

### Q
How do I place an order?

### A
Write your order on the slate by the window before four o'clock.

### Q
May I pay later?

### A
Regular customers may pay on Saturday, when Agnes opens the green book.

### Q
Why does the crust shine?

### A
A bowl of boiling water on the oven floor makes the crust shine.
