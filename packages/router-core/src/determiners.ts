/** Words that stand before a noun: never before `import` or after `FROM` in code. For patterns. */
export const DETERMINER =
  '(?:the|an?|this|that|these|those|my|your|our|his|her|their|its|each|every|all|any|some|such|one|two|three|among|within|between|both|either|other|below|above)';
