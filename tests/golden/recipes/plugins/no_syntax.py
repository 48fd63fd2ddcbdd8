def collapse_components(:
