/**
 * How many decimals a currency has at the gateway. `Intl` leaves off those that are not in use any more, as Hungary's.
 * Told by the country, the first two letters of ISO 4217: the element is small.
 */
export const decimalsOf = (currency: string): number =>
  /^(BI|CL|DJ|GN|IS|JP|K[MR]|PY|RW|UG|V[NU]|X[AOP])/.test(currency)
    ? 0
    : /^(BH|IQ|JO|KW|LY|OM|TN)/.test(currency)
      ? 3
      : 2;
