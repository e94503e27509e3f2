/** The type of the card's messages in a language. */
import type { Catalog, Locale } from "../../../../packages/i18n/src/catalog.ts";

import type { en } from "./en.ts";

export type CardCatalog<L extends Locale> = Catalog<typeof en, L>;
