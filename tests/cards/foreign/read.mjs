// Reads the pass.json given on standard input as passkit-generator does, and prints what it understood of it. Fields that
// break its schemas make it fail, or are left out.
import fs from "node:fs";
import { PKPass } from "passkit-generator";

const pass = new PKPass({ "pass.json": fs.readFileSync(0) });
process.stdout.write(JSON.stringify({ ...pass.props, type: pass.type }));
