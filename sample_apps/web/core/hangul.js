// Hangul's syllables and the jamo that they are made of, by arithmetic (Unicode Standard, §3.12).

import { NONE } from "./pairs.js";

export const FIRST_SYLLABLE = 0xac00;
export const SYLLABLES = 11172;
const FIRST_LEAD = 0x1100;
const FIRST_VOWEL = 0x1161;
const BEFORE_TRAILS = 0x11a7;
const [LEADS, VOWELS, ENDINGS] = [19, 21, 28]; // the first ending is none

/** Whether a code point is a syllable. */
export function isSyllable(point) {
  return point >= FIRST_SYLLABLE && point < FIRST_SYLLABLE + SYLLABLES;
}

/** Whether it is one without a trail, which one may join. */
export function isOpen(point) {
  return isSyllable(point) && (point - FIRST_SYLLABLE) % ENDINGS === 0;
}

/** Hand over the jamo of a syllable. */
export function eachJamo(point, use) {
  const index = point - FIRST_SYLLABLE;
  use(FIRST_LEAD + Math.floor(index / (VOWELS * ENDINGS)));
  use(FIRST_VOWEL + (Math.floor(index / ENDINGS) % VOWELS));
  if (index % ENDINGS > 0) use(BEFORE_TRAILS + (index % ENDINGS));
}

/** Hand over the jamo that may join what is before them. */
export function eachJoining(use) {
  for (let i = 0; i < VOWELS; i++) use(FIRST_VOWEL + i);
  for (let i = 1; i < ENDINGS; i++) use(BEFORE_TRAILS + i);
}

/** The syllable of a lead and a vowel, or of one without a trail and a trail; −1 of any others. */
export function compose(first, second) {
  const vowel = second - FIRST_VOWEL;
  if (first >= FIRST_LEAD && first < FIRST_LEAD + LEADS && vowel >= 0 && vowel < VOWELS)
    return FIRST_SYLLABLE + ((first - FIRST_LEAD) * VOWELS + vowel) * ENDINGS;
  const trail = second - BEFORE_TRAILS;
  return isOpen(first) && trail > 0 && trail < ENDINGS ? first + trail : NONE;
}
