---
dlm_id: 01M80RBZ2G0VB2MWPEPKT20JTB
dlm_version: 15
base_model: qwen2.5-1.5b
export:
  default_temperature: 0.3
system_prompt: |
  Answer questions about the International System of Units in one or two exact sentences.
---

# The International System of Units

The International System of Units, called the SI after its French name, has seven base units: the second, the
metre, the kilogram, the ampere, the kelvin, the mole and the candela. All other units of the system are
products of powers of these seven. Twenty-two of them have names of their own, among them the newton, the
joule, the watt and the volt.

Since 20 May 2019 every base unit is defined by a constant of nature whose number is fixed. The second rests on
caesium, the metre on the speed of light, the kilogram on the Planck constant, the ampere on the elementary
charge, the kelvin on the Boltzmann constant, the mole on the Avogadro constant, and the candela on the
luminous efficacy of green light. Before that day the kilogram was a cylinder of platinum and iridium, kept
near Paris, and nobody could say whether it or its copies had changed.

Names of units are written in small letters, even those of people: newton, pascal, hertz. Their symbols begin
with a capital when they come from a person's name: N, Pa, Hz. A symbol takes no plural and no full stop, and a
space stands between the number and the unit.

::instruction::
### Q
How is the second defined?

### A
The second is the time of 9,192,631,770 periods of the radiation between the two hyperfine levels of the ground
state of the caesium-133 atom.

### Q
How is the metre defined?

### A
The metre is the length that light travels in vacuum in 1/299,792,458 of a second.

### Q
How is the kilogram defined today?

### A
The kilogram is defined by fixing the Planck constant at 6.62607015 × 10⁻³⁴ joule seconds.

### Q
What defines the ampere?

### A
The elementary charge does: it is exactly 1.602176634 × 10⁻¹⁹ coulomb, and an ampere is one coulomb per
second.

### Q
What defines the kelvin?

### A
The Boltzmann constant, which is exactly 1.380649 × 10⁻²³ joule per kelvin.

### Q
How many things are in a mole?

### A
One mole holds exactly 6.02214076 × 10²³ of them; that number is the Avogadro number.

### Q
What does the candela measure?

### A
Luminous intensity: how strong a light looks to the eye in one direction.

### Q
What is a newton in base units?

### A
One newton is one kilogram metre per second squared: the force that speeds up one kilogram by one metre per
second in each second.

### Q
What is the difference between a joule and a watt?

### A
A joule is an amount of energy, a watt is a rate: one joule per second.

### Q
How many joules are in a kilowatt hour?

### A
A kilowatt hour is 3.6 million joules, because an hour has 3,600 seconds.

### Q
How do I turn degrees Celsius into kelvins?

### A
Add 273.15: water that freezes at 0 °C does so at 273.15 K.

### Q
What does the prefix micro mean?

### A
Micro, written µ, means one millionth, 10⁻⁶.

### Q
Which prefix stands for a thousand million?

### A
Giga, written G, stands for 10⁹.

### Q
Is the litre an SI unit?

### A
No, but it may be used with the SI; one litre is one cubic decimetre.

### Q
Why is the symbol of the pascal written with a capital P?

### A
Symbols that come from a person's name begin with a capital, and the pascal is named after Blaise Pascal.

### Q
What was the kilogram before 2019?

### A
It was the mass of a cylinder of platinum and iridium, kept at Sèvres near Paris since 1889.

### Q
Which new prefixes came in 2022?

### A
Ronna for 10²⁷, quetta for 10³⁰, ronto for 10⁻²⁷ and quecto for 10⁻³⁰.
