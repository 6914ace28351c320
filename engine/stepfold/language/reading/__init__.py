"""Where definitions come from: files of JSON and YAML, and the templates of SAM and CloudFormation."""
