"""Who is measured: `raw`, the job written by hand on the HTTP client, and `ours`, the same job through an agent."""
