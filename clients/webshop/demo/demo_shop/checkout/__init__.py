"""The demo's fork of oscar's checkout: payments that go through, that fail, or that take their time at a bank."""
